//! The targets.

mod archive;
mod calls;
mod device;
mod disk_requests;
mod elf;
mod erofs;
mod fuse_answers;
mod fuse_requests;
mod names;
mod registers;
mod service;
mod socket_answers;
mod socket_packets;
mod words;

use crate::Target;

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "fuse-requests",
        what: "FUSE requests of a guest to the file system device",
        run: fuse_requests::run,
        seeds: fuse_requests::seeds,
    },
    Target {
        name: "fuse-answers",
        what: "FUSE answers of a host to the guest kernel",
        run: fuse_answers::run,
        seeds: fuse_answers::seeds,
    },
    Target {
        name: "socket-packets",
        what: "virtio-vsock packets of a guest to the socket device",
        run: socket_packets::run,
        seeds: socket_packets::seeds,
    },
    Target {
        name: "socket-answers",
        what: "virtio-vsock packets of a host to the guest kernel",
        run: socket_answers::run,
        seeds: socket_answers::seeds,
    },
    Target {
        name: "disk-requests",
        what: "virtio-blk requests of a guest to a disk",
        run: disk_requests::run,
        seeds: disk_requests::seeds,
    },
    Target {
        name: "registers",
        what: "a guest's accesses to configuration space, BARs, rings and doorbells of all devices",
        run: registers::run,
        seeds: registers::seeds,
    },
    Target {
        name: "names",
        what: "a guest's questions for names, and what nameservers answer",
        run: names::run,
        seeds: names::seeds,
    },
    Target {
        name: "calls",
        what: "a worker's calls to other partitions, as its supervisor reads them",
        run: calls::run,
        seeds: calls::seeds,
    },
    Target {
        name: "service",
        what: "a guest's calls about further programs and their streams",
        run: service::run,
        seeds: service::seeds,
    },
    Target {
        name: "elf",
        what: "programs, as the worker looks at them and as the guest kernel loads them",
        run: elf::run,
        seeds: elf::seeds,
    },
    Target {
        name: "erofs",
        what: "the files of an image, as host and guest kernel read them",
        run: erofs::run,
        seeds: erofs::seeds,
    },
    Target {
        name: "archive",
        what: "archives that images are built from: tar, OCI layouts, docker save, compressed or not",
        run: archive::run,
        seeds: archive::seeds,
    },
    Target {
        name: "control-frames",
        what: "frames on a supervisor's control socket, and records of partitions",
        run: words::frames,
        seeds: words::frame_seeds,
    },
    Target {
        name: "options",
        what: "sizes, durations, volumes, disks, rules of the network, ports, names of images",
        run: words::options,
        seeds: words::option_seeds,
    },
];
