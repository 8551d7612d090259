//! What can be checked of a launch only once it is known what its template says.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use crate::ec2::api_error::ApiError;
use crate::ec2::catalog;
use crate::ec2::image::Image;
use crate::ec2::images::Images;
use crate::ec2::instance::Shutdown;
use crate::emulator::{Profile, Template};

/// EC2's limit on user-data, before base64.
const USER_DATA_MAX_BYTES: usize = 16 * 1024;
/// What an image has in front that a parameter names.
const BY_PARAMETER: &str = "resolve:ssm:";
/// The only kind of parameter that EC2 takes an image from.
pub(crate) const IMAGE_PARAMETER: &str = "aws:ec2:image";

/// The path of the parameter by which `wanted` names its image, if it does so.
pub(crate) fn image_parameter(wanted: &Template) -> Option<&str> {
    wanted.image.as_deref()?.strip_prefix(BY_PARAMETER)
}

/// The image that `wanted` says, by its id or by a parameter with this value and type.
pub(super) fn image(
    images: &Images,
    wanted: &Template,
    parameter: Option<(String, String)>,
    now: Timestamp,
) -> Result<Image, ApiError> {
    let named = wanted.image.as_deref();
    let named = named.ok_or_else(|| ApiError::missing("ImageId"))?;
    match image_parameter(wanted) {
        None => images.to_launch(named, now),
        Some(path) => images.to_launch(&by_parameter(path, parameter)?, now),
    }
}

fn by_parameter(path: &str, found: Option<(String, String)>) -> Result<String, ApiError> {
    let wrong = |why: &str| {
        let words = format!("The parameter {path} that names the image {why}");
        ApiError::client("InvalidParameterValue", words)
    };
    let (value, kind) = found.ok_or_else(|| wrong("does not exist"))?;
    // What AWS and Canonical publish has the type all the same, though the emulator says none.
    if kind != IMAGE_PARAMETER && !path.starts_with("/aws/service/") {
        return Err(wrong("is not of data type aws:ec2:image"));
    }
    Ok(value)
}

/// What becomes of the instance that shuts down, and the size of its disk.
pub(super) fn fitting(
    wanted: &Template,
    image: &Image,
    (instance_type, spot): (&str, bool),
) -> Result<(Shutdown, u32), ApiError> {
    if wanted.network_interfaces {
        return Err(ApiError::combination(
            "Network interfaces and an instance-level subnet ID may not be specified on the same request",
        ));
    }
    let arch = catalog::arch(instance_type);
    if image.arch != arch {
        return Err(ApiError::client(
            "InvalidParameterValue",
            format!(
                "The architecture '{arch}' of the specified instance type does not match the \
                 architecture '{}' of the specified AMI.",
                image.arch
            ),
        ));
    }
    let mut size_gb = image.size_gb;
    for volume in &wanted.volumes {
        if volume.device != image.root_device {
            return Err(ApiError::client(
                "UnsupportedOperation",
                format!(
                    "The lab's machines have one disk, and that of {} is {}: EC2 would add a \
                     blank one for any other device.",
                    image.id, image.root_device
                ),
            ));
        }
        size_gb = volume.size_gb.unwrap_or(size_gb);
    }
    if size_gb < image.size_gb {
        let words = format!(
            "Volume of size {size_gb}GB is smaller than snapshot, expect size >= {}GB",
            image.size_gb
        );
        return Err(ApiError::client("InvalidBlockDeviceMapping", words));
    }
    let shutdown = match wanted.shutdown.as_deref() {
        Some("terminate") => Shutdown::Terminate,
        // A one-time Spot instance can't be stopped, and the lab knows no other.
        _ if spot => {
            return Err(ApiError::client(
                "UnsupportedOperation",
                "A one-time Spot instance ends when it shuts down: \
                 InstanceInitiatedShutdownBehavior must say terminate.",
            ));
        }
        // EC2's own default.
        Some(_) | None => Shutdown::Stop,
    };
    Ok((shutdown, size_gb))
}

pub(super) fn found_profile(profile: Option<Profile>, name: &str) -> Result<Profile, ApiError> {
    profile.ok_or_else(|| {
        ApiError::client(
            "InvalidParameterValue",
            format!(
                "Value ({name}) for parameter iamInstanceProfile.name is invalid. Invalid IAM \
                 Instance Profile name"
            ),
        )
    })
}

pub(super) fn user_data(encoded: Option<String>) -> Result<Vec<u8>, ApiError> {
    let compact: String = encoded
        .unwrap_or_default()
        .split_ascii_whitespace()
        .collect();
    let data = STANDARD.decode(compact).map_err(|_| {
        ApiError::client(
            "InvalidUserData.Malformed",
            "Invalid BASE64 encoding of user data.",
        )
    })?;
    if data.len() > USER_DATA_MAX_BYTES {
        return Err(ApiError::client(
            "InvalidParameterValue",
            "User data is limited to 16384 bytes",
        ));
    }
    Ok(data)
}
