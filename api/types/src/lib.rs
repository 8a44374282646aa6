//! The types that the command line, the worker and every later interface of Septum share.
//!
//! Plain data with one meaning and no behaviour beyond parsing and printing: what a partition is made from
//! ([`spec`]), how it went ([`stats`]), how failures are told to people ([`failure`]) and to scripts ([`exit`]).
//! The quantities that people type have a module each ([`size`], [`duration`], [`volume`], [`tmpfs`], [`ulimit`], [`privilege`], [`restart`],
//! [`signal`]); all of them print back
//! in the form that they are parsed from.
//!
//! What is said over the REST API has a module for each of its versions ([`v1`]).
//!
//! Neighbours: the command line turns flags into a [`spec::PartitionSpec`], the worker builds a machine from it and
//! fills in a [`stats::PartitionStats`]. [`places`] names the directories of images and running partitions. Nothing here touches a file
//! or a process.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod bytes;
pub mod disk;
pub mod duration;
pub mod exit;
pub mod failure;
pub mod image;
pub mod jail;
pub mod mount;
pub mod names;
pub mod network;
pub mod pci;
pub mod places;
pub mod privilege;
pub mod restart;
pub mod signal;
pub mod size;
pub mod spec;
pub mod stats;
pub mod tmpfs;
pub mod ulimit;
pub mod v1;
pub mod volume;
