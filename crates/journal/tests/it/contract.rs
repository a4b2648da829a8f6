//! The promises of the seam. They are asked of [`Engine::open`] and know nothing
//! of the engine behind it.

mod appending;
mod connections;
mod indexing;
mod letters;
mod opening;
mod settings;
mod trimming;
