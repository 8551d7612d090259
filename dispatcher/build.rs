//! Lays the functions of what Lambda runs out by name, so crate by crate: the kernel maps memory in
//! pieces of 64 kB around what is touched, and a delivery touches neither EC2's decoder nor YAML.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is_for_lambda = std::env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|env| env == "musl");
    if is_for_lambda {
        println!("cargo::rustc-link-arg=-Wl,--sort-section=name");
    }
}
