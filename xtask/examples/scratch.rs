#![allow(missing_docs, dead_code, clippy::print_stdout, unreachable_pub)]
#[path = "../src/diff.rs"]
mod diff;
#[path = "../src/down.rs"]
mod down;
#[path = "../src/place.rs"]
mod place;
#[path = "../src/render.rs"]
mod render;
#[path = "../src/secret.rs"]
mod secret;
#[path = "../src/up.rs"]
mod up;
pub fn say(text: &str) {
    println!("{text}");
}
#[tokio::main(flavor = "current_thread")]
async fn main() -> std::process::ExitCode {
    match go().await {
        Ok(code) => code.into(),
        Err(error) => {
            eprintln!("error: {error}");
            if let Some(h) = error.hint() {
                eprintln!("hint: {h}");
            }
            1.into()
        }
    }
}
async fn go() -> Result<u8, place::Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let root = std::env::current_dir().unwrap();
    let env = args[1].clone();
    let path = place::environment_path(&root, &env);
    if args[0] == "render" {
        render::run(&path, std::path::Path::new(&args[2]))?;
        return Ok(0);
    }
    let environment = provisioner::environment::load(&path).map_err(provisioner::Error::from)?;
    let lab = std::env::var("CI_TEST_ENDPOINT").ok();
    let target = provisioner::Target {
        region: environment.region.clone(),
        endpoint: lab.clone(),
        ec2_endpoint: None,
        credentials: lab
            .as_ref()
            .map(|_| ("111111111111".to_owned(), "x".to_owned())),
    };
    let deployment = provisioner::Deployment::new(environment, target)?;
    let place = place::Place {
        env,
        lab: lab.is_some(),
        root,
        deployment,
        hook_url: None,
    };
    match args[0].as_str() {
        "diff" => return diff::run(&place, args.contains(&"--json".to_owned())).await,
        "up" => {
            up::run(&place, args.contains(&"--yes".to_owned())).await?;
        }
        "down" => down::run(&place, args.contains(&"--yes".to_owned())).await?,
        "secret" => secret::set(&place, &args[2], &secret::Source::Asked).await?,
        _ => panic!(),
    }
    Ok(0)
}
