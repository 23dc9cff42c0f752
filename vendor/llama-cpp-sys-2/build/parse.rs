//! What other programs say, read: cmake's cache, the system's version. Pure, and hence tested with the library of this crate.

use std::path::Path;

/// The value of an entry of `CMakeCache.txt`; `None` also for what cmake looked for and did not find.
pub fn cached<'a>(cache: &'a str, name: &str) -> Option<&'a str> {
    let of_entry = |line: &'a str| line.strip_prefix(name)?.strip_prefix(':')?.split_once('=');
    let (_, value) = cache.lines().find_map(of_entry)?;
    let value = value.trim_end();
    (!value.is_empty() && !value.ends_with("NOTFOUND")).then_some(value)
}

/// The libraries of OpenMP that cmake found for C++, with their folders; none without OpenMP. That of threads is not among
/// them: Rust's standard library links it.
pub fn openmp(cache: &str) -> Vec<(&str, Option<&Path>)> {
    let names = cached(cache, "OpenMP_CXX_LIB_NAMES").unwrap_or_default().split(';');
    let names = names.filter(|name| !name.is_empty() && *name != "pthread");
    names.map(|name| (name, cached(cache, &format!("OpenMP_{name}_LIBRARY")).and_then(folder))).collect()
}

/// Name and folder of a library that cmake found, as the linker wants them.
pub fn library<'a>(cache: &'a str, entry: &str) -> Option<(&'a str, &'a Path)> {
    let path = cached(cache, entry)?;
    let stem = Path::new(path).file_name()?.to_str()?.split('.').next()?;
    Some((stem.strip_prefix("lib").unwrap_or(stem), folder(path)?))
}

fn folder(path: &str) -> Option<&Path> {
    Path::new(path).parent().filter(|dir| !dir.as_os_str().is_empty())
}

/// `14.5` of `14.5.1`; `None` for what is no version.
pub fn major_minor(version: &str) -> Option<String> {
    let mut numbers = version.trim().split('.').map(|number| number.parse::<u32>().ok());
    let major = numbers.next()??;
    let minor = numbers.next().unwrap_or(Some(0))?;
    Some(format!("{major}.{minor}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GCC: &str = "\
//CXX compiler libraries for OpenMP parallelization
OpenMP_CXX_LIB_NAMES:STRING=gomp;pthread

OpenMP_CXX_LIB_NAMES-ADVANCED:INTERNAL=1
OpenMP_gomp_LIBRARY:FILEPATH=/usr/lib/gcc/x86_64-linux-gnu/12/libgomp.so
OpenMP_pthread_LIBRARY:FILEPATH=/usr/lib/x86_64-linux-gnu/libpthread.a
";

    #[test]
    fn openmp_is_that_of_the_compiler() {
        assert_eq!(openmp(GCC), [("gomp", Some(Path::new("/usr/lib/gcc/x86_64-linux-gnu/12")))]);
        let clang = "OpenMP_CXX_LIB_NAMES:STRING=omp\nOpenMP_omp_LIBRARY:FILEPATH=/usr/lib/llvm-14/lib/libomp.so\n";
        assert_eq!(openmp(clang), [("omp", Some(Path::new("/usr/lib/llvm-14/lib")))]);
        assert_eq!(openmp("OpenMP_CXX_LIB_NAMES:STRING=gomp\r\n"), [("gomp", None)]);
    }

    #[test]
    fn without_openmp_nothing_of_it_is_linked() {
        for cache in ["", "OpenMP_CXX_LIB_NAMES:STRING=\n", "OpenMP_CXX_LIB_NAMES:STRING=NOTFOUND\n"] {
            assert_eq!(openmp(cache), []);
        }
    }

    #[test]
    fn libraries_are_named_as_the_linker_names_them() {
        let of = |line: &'static str| library(line, "Vulkan_LIBRARY");
        let named = |name, dir| Some((name, Path::new(dir)));
        assert_eq!(
            of("Vulkan_LIBRARY:FILEPATH=/opt/homebrew/lib/libvulkan.dylib"),
            named("vulkan", "/opt/homebrew/lib")
        );
        assert_eq!(of("Vulkan_LIBRARY:FILEPATH=C:/SDK/Lib/vulkan-1.lib"), named("vulkan-1", "C:/SDK/Lib"));
        assert_eq!(of("Vulkan_LIBRARY:FILEPATH=Vulkan_LIBRARY-NOTFOUND"), None);
        assert_eq!(of("Vulkan_LIBRARY-ADVANCED:INTERNAL=1"), None);
    }

    #[test]
    fn versions_have_two_numbers() {
        for (version, wanted) in [("14.5.1\n", Some("14.5")), ("26.0", Some("26.0")), ("15", Some("15.0"))] {
            assert_eq!(major_minor(version).as_deref(), wanted);
        }
        for version in ["", "x", "15.x"] {
            assert_eq!(major_minor(version), None);
        }
    }
}
