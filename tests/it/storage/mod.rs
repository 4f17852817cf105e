//! The queue's files and who else has hands on them: a disk that fails or loses power, files that are gone, strange or
//! readable to others, rows and rules changed by another program.

mod disk_trouble;
mod hands;
mod lost_queue;
mod permissions;
mod power_cut;
mod strange_files;
mod troubled_start;
mod upgrade;
