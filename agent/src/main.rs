//! tidegate-agent: the only program of Tidegate that changes a host.

#![allow(dead_code)]

mod core;
mod elevate;
mod paths;
mod sys;
#[cfg(test)]
mod test;

fn main() {}
