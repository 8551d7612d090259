//! The bucket of the function's code.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use sha2::{Digest, Sha256};

use super::Shell;
use crate::aws::{CallError, failed, is_there};
use crate::package::Code;

/// Most objects that S3 deletes in one call.
const OBJECTS_MAX: usize = 1_000;
/// Most rounds of them that emptying takes: one object is added per change of code.
const ROUNDS_MAX: usize = 100;
/// How S3 says of a single object that it may be deleted at the next try.
const AGAIN: [&str; 3] = ["SlowDown", "InternalError", "ServiceUnavailable"];

impl Shell<'_> {
    pub(crate) async fn has_object(&self, bucket: &str, key: &str) -> Result<bool, CallError> {
        let answer = self.s3.head_object().bucket(bucket).key(key).send().await;
        is_there("HeadObject", answer)
    }

    pub(crate) async fn has_bucket(&self, bucket: &str) -> Result<bool, CallError> {
        let answer = self.s3.head_bucket().bucket(bucket).send().await;
        is_there("HeadBucket", answer)
    }

    /// Uploads the code unless somebody else did in the meantime.
    pub(crate) async fn upload(&self, bucket: &str, code: &Code) -> Result<(), CallError> {
        let put = self
            .s3
            .put_object()
            .bucket(bucket)
            .key(code.key())
            .if_none_match("*")
            .content_type("application/zip")
            .body(ByteStream::from(code.zip.clone()))
            .send()
            .await
            .map_err(failed("PutObject"));
        match put {
            Err(error) if error.is("PreconditionFailed") => Ok(()),
            put => put.map(drop),
        }
    }

    /// Puts a template where CloudFormation reads it, and says where that is.
    pub(crate) async fn publish(&self, bucket: &str, template: &str) -> Result<String, CallError> {
        let digest = hex::encode(Sha256::digest(template));
        let key = format!("templates/{digest}.json");
        self.s3
            .put_object()
            .bucket(bucket)
            .key(&key)
            .content_type("application/json")
            .body(ByteStream::from(template.as_bytes().to_vec()))
            .send()
            .await
            .map_err(failed("PutObject"))?;
        Ok(match &self.endpoint {
            Some(endpoint) => format!("{endpoint}/{bucket}/{key}"),
            None => format!("https://{bucket}.s3.{}.amazonaws.com/{key}", self.region),
        })
    }

    /// How many objects the bucket holds; a thousand stands for all that are more.
    pub(crate) async fn objects(&self, bucket: &str) -> Result<Vec<String>, CallError> {
        let pages = self.s3.list_objects_v2().bucket(bucket).into_paginator();
        let mut pages = pages.send();
        let mut keys = Vec::new();
        while keys.len() < OBJECTS_MAX
            && let Some(page) = pages.next().await
        {
            let page = page.map_err(failed("ListObjectsV2"))?;
            let objects = page.contents.unwrap_or_default().into_iter();
            keys.extend(objects.filter_map(|object| object.key));
        }
        keys.truncate(OBJECTS_MAX);
        Ok(keys)
    }

    pub(crate) async fn empty_bucket(&self, bucket: &str) -> Result<(), CallError> {
        for _ in 0..ROUNDS_MAX {
            let keys = self.objects(bucket).await?;
            if keys.is_empty() {
                return Ok(());
            }
            let objects = keys
                .into_iter()
                .map(|key| ObjectIdentifier::builder().key(key).build())
                .collect::<Result<Vec<_>, _>>()
                .expect("the key is set above");
            let delete = Delete::builder()
                .set_objects(Some(objects))
                .quiet(true)
                .build()
                .expect("objects are set above");
            let deleted = self.s3.delete_objects().bucket(bucket).delete(delete);
            let deleted = deleted.send().await.map_err(failed("DeleteObjects"))?;
            // Of what it could not delete S3 tells in an answer of success.
            let refused = deleted.errors.unwrap_or_default().into_iter();
            let mut refused = refused.filter(|it| !AGAIN.contains(&it.code().unwrap_or_default()));
            if let Some(refused) = refused.next() {
                let key = refused.key.unwrap_or_default();
                let words = refused.message.unwrap_or_default();
                return Err(CallError {
                    call: "DeleteObjects",
                    code: refused.code,
                    message: format!("{bucket}/{key}: {words}"),
                });
            }
        }
        Err(CallError {
            call: "DeleteObjects",
            code: None,
            message: format!("{bucket} is not empty after {ROUNDS_MAX} thousand objects"),
        })
    }

    pub(crate) async fn delete_bucket(&self, bucket: &str) -> Result<(), CallError> {
        let deleted = self.s3.delete_bucket().bucket(bucket).send().await;
        is_there("DeleteBucket", deleted).map(drop)
    }
}
