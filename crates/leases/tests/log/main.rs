//! The log on disks that lose power, fail, rot and fill.

mod crash;
mod full;
mod order;
mod rot;
mod world;
