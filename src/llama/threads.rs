//! How many threads compute, where nobody says.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::num::NonZero;
use std::thread::available_parallelism;

/// More do not pay: threads wait for each other at every operation.
const MAX_THREADS: usize = 64;

/// One thread for each physical core that the process may use, as llama.cpp's own programs have it
/// (`common_cpu_get_num_math`): two on one core share the units that multiply, and wait for each other. On Linux, CPUs that the
/// process is kept off and a CPU quota (cgroup) count as not there, and so do efficiency cores where there are others; elsewhere
/// it is all logical CPUs.
pub fn default_threads() -> u32 {
    let logical = available_parallelism().map_or(4, NonZero::get);
    let physical = if cfg!(target_os = "linux") { physical_cores() } else { None };
    physical.unwrap_or(logical).min(logical).clamp(1, MAX_THREADS) as u32
}

fn physical_cores() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    // Only there on processors that have both kinds of cores.
    let performance = fs::read_to_string("/sys/devices/cpu_core/cpus").unwrap_or_default();
    let siblings = |cpu| fs::read_to_string(format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings")).ok();
    count_cores(&status, &performance, siblings)
}

/// Distinct cores among the CPUs that `status` (`/proc/self/status`) allows, those of the list `performance` if any of them
/// is allowed. `siblings` is a text that all CPUs of a core have in common; a CPU without one is a core by itself.
fn count_cores(status: &str, performance: &str, siblings: impl Fn(usize) -> Option<String>) -> Option<usize> {
    let allowed = parse_list(status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?)?;
    let performance: BTreeSet<usize> = parse_list(performance).unwrap_or_default();
    let mut cpus: Vec<usize> = allowed.intersection(&performance).copied().collect();
    if cpus.is_empty() {
        cpus.extend(allowed);
    }
    let cores: HashSet<String> =
        cpus.into_iter().map(|cpu| siblings(cpu).unwrap_or_else(|| format!("cpu{cpu}"))).collect();
    Some(cores.len()).filter(|&n| n > 0)
}

/// CPUs of a list as the kernel writes it, such as `0-3,8`; `None` if it is something else.
fn parse_list(text: &str) -> Option<BTreeSet<usize>> {
    /// Far above `CONFIG_NR_CPUS`.
    const MAX_CPU: usize = 1 << 16;
    let mut cpus = BTreeSet::new();
    for part in text.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        cpus.extend((last < MAX_CPU).then_some(first..=last)?);
    }
    Some(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(allowed: &str) -> String {
        format!("Name:\tsgl\nThreads:\t1\nCpus_allowed:\tff\nCpus_allowed_list:\t{allowed}\nMems_allowed_list:\t0\n")
    }

    fn cores(allowed: &str, performance: &str, siblings: impl Fn(usize) -> Option<String>) -> Option<usize> {
        count_cores(&status(allowed), performance, siblings)
    }

    /// Each core has the CPUs `n` and `n + stride`, in the kernel's notation: a mask in hexadecimal digits.
    fn mask(cpu: usize, stride: usize) -> Option<String> {
        Some(format!("{:08x}\n", 1u64 << (cpu % stride) | 1 << (cpu % stride + stride)))
    }

    #[test]
    fn two_cpus_of_a_core_count_once() {
        // Four cores, numbered as Intel's firmware does (0 and 4 are one core) ...
        assert_eq!(cores("0-7", "", |cpu| mask(cpu, 4)), Some(4));
        // ... and as AMD's in virtual machines (0 and 1 are one core).
        assert_eq!(cores("0-7", "", |cpu| Some(format!("{:x}", 3 << (cpu / 2 * 2)))), Some(4));
        // Without hyperthreads.
        assert_eq!(cores("0-5", "", |cpu| Some(format!("{:x}", 1 << cpu))), Some(6));
    }

    #[test]
    fn only_allowed_cpus_count() {
        // `taskset -c 0,4`: both CPUs of one core; `0-2,6`: cores 0, 1 and 2, the last with both.
        assert_eq!(cores("0,4", "", |cpu| mask(cpu, 4)), Some(1));
        assert_eq!(cores("0-2,6", "", |cpu| mask(cpu, 4)), Some(3));
        assert_eq!(cores("7", "", |cpu| mask(cpu, 4)), Some(1));
    }

    #[test]
    fn efficiency_cores_do_not_count_beside_others() {
        // Six cores of two CPUs each, then eight of one.
        let hybrid =
            |cpu: usize| Some(if cpu < 12 { format!("{:x}", 3 << (cpu / 2 * 2)) } else { format!("{:x}", 1 << cpu) });
        assert_eq!(cores("0-19", "0-11\n", hybrid), Some(6));
        assert_eq!(cores("0-19", "", hybrid), Some(14));
        // Kept to the efficiency cores, it uses them.
        assert_eq!(cores("14-17", "0-11\n", hybrid), Some(4));
        assert_eq!(cores("10-13", "0-11\n", hybrid), Some(1));
    }

    #[test]
    fn without_topology_each_cpu_is_a_core() {
        assert_eq!(cores("0-3", "", |_| None), Some(4));
    }

    #[test]
    fn what_is_not_understood_says_nothing() {
        assert_eq!(count_cores("Name:\tsgl\n", "", |_| None), None);
        for list in ["", "x", "1-", "-1", "0-99999999999", "3;4"] {
            assert_eq!(cores(list, "", |_| None), None, "{list}");
        }
        assert_eq!(parse_list("0-2,5,7-8\n").unwrap().into_iter().collect::<Vec<_>>(), [0, 1, 2, 5, 7, 8]);
        assert_eq!(parse_list("3-1").unwrap().len(), 0);
    }

    #[test]
    fn never_more_than_the_process_may_use() {
        let most = available_parallelism().unwrap().get() as u32;
        assert!((1..=most).contains(&default_threads()), "{} of {most}", default_threads());
    }
}
