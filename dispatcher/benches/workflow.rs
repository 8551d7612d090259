//! What a verdict costs.

use criterion::{Criterion, criterion_group, criterion_main};
use dispatcher::workflow::server::Server;

fn version(c: &mut Criterion) {
    c.bench_function("read a version", |b| {
        b.iter(|| Server::parse("12.0.1+gitea-1.22.0"));
    });
}

criterion_group!(benches, version);
criterion_main!(benches);
