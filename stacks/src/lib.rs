//! The contract between templates, code and images.
//!
//! Every name that two of them must agree on exists here once: environment variables, tag keys,
//! parameter paths, stack and resource names, the documents that the stacks publish for the
//! dispatcher, and the runner route's words. Templates reach the same constants through
//! [`names::Names`], which the provisioner puts into the Tera context as `names`: a typo there fails
//! to render, a typo here fails to compile.
//!
//! Invariant: nothing in this crate talks to a network, reads a clock or knows an SDK.

pub mod images;
pub mod names;
pub mod pool;
pub mod rehearsal;
pub mod route;
pub mod smoke_test;
