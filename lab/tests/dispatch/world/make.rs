//! What the stacks and `up` would make.

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use aws_sdk_ssm::types::ParameterType;
use dispatcher::handler::Handler;
use stacks::names::SecretName;
use stacks::pool::{Pool, Settings};

use super::{CLONE_TOKEN, Shape, World};
use crate::support::pool;

impl World {
    pub(super) async fn make_table(&self) {
        let key = |name: &str, kind: KeyType| {
            let key = KeySchemaElement::builder().attribute_name(name);
            key.key_type(kind).build().unwrap()
        };
        let attribute = |name: &str| {
            let attribute = AttributeDefinition::builder().attribute_name(name);
            let attribute = attribute.attribute_type(ScalarAttributeType::S);
            attribute.build().unwrap()
        };
        self.dynamo
            .create_table()
            .table_name(&self.names.table)
            .key_schema(key(stacks::names::ATTRIBUTE_PARTITION, KeyType::Hash))
            .key_schema(key(stacks::names::ATTRIBUTE_SORT, KeyType::Range))
            .attribute_definitions(attribute(stacks::names::ATTRIBUTE_PARTITION))
            .attribute_definitions(attribute(stacks::names::ATTRIBUTE_SORT))
            .billing_mode(BillingMode::PayPerRequest)
            .send()
            .await
            .unwrap();
    }

    pub(super) async fn make_parameters(&self, shape: &Shape) {
        let settings = Settings {
            forge_url: lab::FORGE_URL.to_owned(),
            forge_root_url: None,
            forge_kind: self.bench.lab.file().forge_kind,
            accept_reusable_credentials: shape.accept_reusable_credentials,
            poll_after_events: shape.poll_after_events,
            max_runners: shape.max_runners,
            tags: [("team".to_owned(), "platform".to_owned())].into(),
        };
        let settings = serde_json::to_string(&settings).unwrap();
        self.set_parameter(&self.names.parameter_settings, &settings)
            .await;
        let template = self
            .bench
            .template(shape.user_data.unwrap_or("#!/bin/sh\n"))
            .await;
        let template = template.launch_template_id().unwrap();
        let mut base = pool("base", &["base", "lab", "self-hosted"], template);
        base.accepts_unlabelled = true;
        for mut pool in [base, pool("go", &["go"], template)] {
            (shape.pool)(&mut pool);
            let document = serde_json::to_string(&pool).unwrap();
            self.set_parameter(&self.names.pool(&pool.name), &document)
                .await;
        }
        let file = self.bench.lab.file();
        for (secret, value) in [
            (SecretName::Webhook, file.webhook_secret.as_str()),
            (SecretName::ForgeToken, &file.forge_token),
            (SecretName::RegistrationToken, &file.registration_token),
            (SecretName::CloneToken, CLONE_TOKEN),
        ] {
            self.set_secret(secret, value).await;
        }
    }

    pub(crate) async fn set_parameter(&self, name: &str, value: &str) {
        let put = self.ssm.put_parameter().name(name).value(value);
        let put = put.r#type(ParameterType::String).overwrite(true);
        put.send().await.unwrap();
    }

    pub(crate) async fn set_secret(&self, secret: SecretName, value: &str) {
        let name = self.names.secret(secret);
        let put = self.ssm.put_parameter().name(name).value(value);
        let put = put.r#type(ParameterType::SecureString).overwrite(true);
        put.send().await.unwrap();
    }

    /// The document of one pool, as the function reads it.
    pub(crate) async fn pool(&self, name: &str) -> Pool {
        let get = self.ssm.get_parameter().name(self.names.pool(name));
        let answer = get.send().await.unwrap();
        let document = answer.parameter.unwrap().value.unwrap();
        serde_json::from_str(&document).unwrap()
    }

    /// Changes the document of one pool, and gives a function that has read no other.
    pub(crate) async fn change_pool(&self, name: &str, change: impl FnOnce(&mut Pool)) -> Handler {
        let mut pool = self.pool(name).await;
        change(&mut pool);
        let document = serde_json::to_string(&pool).unwrap();
        self.set_parameter(&self.names.pool(&pool.name), &document)
            .await;
        self.cold(&self.bench.lab.file().forge)
    }

    pub(crate) async fn delete_parameter(&self, name: &str) {
        let delete = self.ssm.delete_parameter().name(name);
        delete.send().await.unwrap();
    }
}
