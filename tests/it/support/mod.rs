//! What the tests stand on: beds and ground to lie on, the processes they start, and whatever is put between the program
//! and the world (a recorder on the wire, a shim before the kernel). Nothing here tries the program by itself.

pub mod bed;
pub mod disk_log;
pub mod environment;
pub mod ground;
pub mod ledger;
pub mod process;
pub mod producer;
pub mod recorder;
pub mod sandbox_process;
pub mod scrape;
pub mod shim;
