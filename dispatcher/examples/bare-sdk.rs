//! What the dispatcher's weight is measured against (`dispatcher/bench`): the least that a Lambda
//! made of the same libraries can be. It checks a delivery's HMAC, puts the job under a condition,
//! launches one instance and answers with its id. It has no pools, no parameters, no log, no second
//! route, and nothing that heals a crash; what it costs, the AWS SDK and TLS cost.

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_ec2::types::{InstanceType, LaunchTemplateSpecification};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_types::SdkConfig;
use aws_types::region::Region;
use hmac::{Hmac, KeyInit, Mac};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Sha256;

/// The event as API Gateway hands it on, as far as this needs it.
#[derive(Deserialize)]
struct HttpEvent {
    headers: HttpHeaders,
    body: String,
}

#[derive(Deserialize)]
struct HttpHeaders {
    #[serde(rename = "x-gitea-signature")]
    signature: String,
}

#[derive(Deserialize)]
struct Delivery {
    workflow_job: WorkflowJob,
}

#[derive(Deserialize)]
struct WorkflowJob {
    id: u64,
}

struct Function {
    dynamo: aws_sdk_dynamodb::Client,
    ec2: aws_sdk_ec2::Client,
    secret: String,
    table: String,
    template: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let config = sdk_config()?;
    let function = Function {
        dynamo: aws_sdk_dynamodb::Client::new(&config),
        ec2: aws_sdk_ec2::Client::new(&config),
        secret: std::env::var("SECRET")?,
        table: std::env::var("TABLE")?,
        template: std::env::var("TEMPLATE")?,
    };
    let function = &function;
    run(service_fn(
        move |event: LambdaEvent<HttpEvent>| async move { function.handle(event.payload).await },
    ))
    .await
}

fn sdk_config() -> Result<SdkConfig, Error> {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let credentials = Credentials::new(
        std::env::var("AWS_ACCESS_KEY_ID")?,
        std::env::var("AWS_SECRET_ACCESS_KEY")?,
        std::env::var("AWS_SESSION_TOKEN").ok(),
        None,
        "lambda",
    );
    let mut config = SdkConfig::builder()
        .behavior_version(aws_sdk_ec2::config::BehaviorVersion::latest())
        .region(Region::new(std::env::var("AWS_REGION")?))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(http);
    config.set_endpoint_url(std::env::var("AWS_ENDPOINT_URL").ok());
    Ok(config.build())
}

impl Function {
    async fn handle(&self, event: HttpEvent) -> Result<Value, Error> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes())?;
        mac.update(event.body.as_bytes());
        mac.verify_slice(&hex::decode(event.headers.signature)?)?;
        let job = serde_json::from_str::<Delivery>(&event.body)?.workflow_job;
        let id = job.id.to_string();
        self.dynamo
            .put_item()
            .table_name(&self.table)
            .item("pk", AttributeValue::S(id.clone()))
            .condition_expression("attribute_not_exists(pk)")
            .send()
            .await?;
        let launched = self
            .ec2
            .run_instances()
            .launch_template(
                LaunchTemplateSpecification::builder()
                    .launch_template_id(&self.template)
                    .build(),
            )
            .instance_type(InstanceType::T3Small)
            .min_count(1)
            .max_count(1)
            .client_token(&id)
            .send()
            .await?;
        let instance = launched.instances().first();
        let instance = instance.and_then(|instance| instance.instance_id());
        Ok(json!({ "statusCode": 202, "body": instance }))
    }
}
