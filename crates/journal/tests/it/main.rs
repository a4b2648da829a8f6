//! What the journal promises, each promise a sentence.

#![cfg(test)]

mod cluster;
mod contract;
mod crash;
mod damage;
mod deployed;
mod disk;
mod durability;
mod engine;
mod erase;
mod folder;
mod model;
mod nats;
mod old_formats;
mod power;
mod rebuild;
mod segments;
mod space;
mod support;
