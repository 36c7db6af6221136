//! Names under which a value isn't handed on unasked, because programs take
//! code from them.

use strongroom_core::EnvKey;

/// Names that are refused.
///
/// Whoever may write a secret decides about its names. Under one of these, the
/// value alone makes a program that is on most machines load, run or look for
/// code of the writer's choosing, on every host that runs the agent: the
/// loader, shells, interpreters and compilers, programs that start others by
/// name, and the home directory, whose files tell all of them what to do. Also
/// a path counts, since `/proc/self/environ` is a file that the writer fills.
/// Nothing secret is called so, which is why refusing costs nothing.
///
/// The list can't be whole, since any program may run what it finds in any
/// variable: it stops the known ways, and who may attach secrets is still to be
/// trusted. Names that only say where data or the network is are left alone
/// (`TMPDIR`, `HTTPS_PROXY`, `PIP_INDEX_URL`, `SSL_CERT_FILE`): values with a
/// password in them have such names. From glibc's `unsecvars.h`, the tables of
/// sudo, and the manuals of the programs.
#[rustfmt::skip]
const NAMES: [&str; 182] = [
    // Where commands, and the files that tell programs what to do, are looked for.
    "CDPATH", "HOME", "PATH", "XDG_CONFIG_DIRS", "XDG_CONFIG_HOME", "XDG_DATA_DIRS", "XDG_DATA_HOME",
    // The C library and OpenSSL load these.
    "GCONV_PATH", "GETCONF_DIR", "GIO_EXTRA_MODULES", "GLIBC_TUNABLES", "GTK_MODULES", "GTK_PATH",
    "KRB5_CONFIG", "LIBPATH", "LOCPATH", "NLSPATH", "OPENSSL_CONF", "OPENSSL_ENGINES", "OPENSSL_MODULES",
    "QT_PLUGIN_PATH", "SHLIB_PATH",
    // Shells.
    "BASHOPTS", "BASH_ENV", "ENV", "FPATH", "IFS", "INPUTRC", "PROMPT_COMMAND", "PS0", "PS1", "PS2", "PS4",
    "SHELLOPTS", "ZDOTDIR",
    // Programs that others start.
    "BROWSER", "CVS_RSH", "EDITOR", "LESSCLOSE", "LESSOPEN", "MANPAGER", "PAGER", "PSQL_EDITOR",
    "PSQL_PAGER", "RSYNC_RSH", "SHELL", "SSH_ASKPASS", "SUDO_ASKPASS", "SUDO_EDITOR", "SVN_SSH",
    "SYSTEMD_EDITOR", "SYSTEMD_PAGER", "VISUAL", "WGET_ASKPASS",
    // Programs that read commands from an option or a file.
    "AWKLIBPATH", "AWKPATH", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "DOCKER_CONFIG",
    "EMACSLOADPATH", "EXINIT", "FZF_DEFAULT_COMMAND", "FZF_DEFAULT_OPTS", "HGRCPATH", "KUBECONFIG", "LESS",
    "PSQLRC", "RIPGREP_CONFIG_PATH", "SYSTEM_WGETRC", "TAR_OPTIONS", "VIM", "VIMINIT", "VIMRUNTIME", "WGETRC",
    // Git.
    "GIT_ASKPASS", "GIT_COMMON_DIR", "GIT_DIR", "GIT_EDITOR", "GIT_EXEC_PATH", "GIT_EXTERNAL_DIFF",
    "GIT_PAGER", "GIT_PROXY_COMMAND", "GIT_SEQUENCE_EDITOR", "GIT_TEMPLATE_DIR",
    // Node and Bun.
    "BUN_INSPECT_PRELOAD", "BUN_OPTIONS", "ELECTRON_RUN_AS_NODE", "NODE_OPTIONS", "NODE_PATH",
    "NODE_REPL_EXTERNAL_MODULE", "NPM_CONFIG_GIT", "NPM_CONFIG_GLOBALCONFIG", "NPM_CONFIG_NODE_OPTIONS",
    "NPM_CONFIG_PREFIX", "NPM_CONFIG_SCRIPT_SHELL", "NPM_CONFIG_SHELL", "NPM_CONFIG_USERCONFIG",
    // Python.
    "PYTHONBREAKPOINT", "PYTHONEXECUTABLE", "PYTHONHOME", "PYTHONINSPECT", "PYTHONPATH", "PYTHONPLATLIBDIR",
    "PYTHONPYCACHEPREFIX", "PYTHONSTARTUP", "PYTHONUSERBASE", "PYTHONWARNINGS",
    // Perl, Ruby, PHP.
    "BUNDLE_GEMFILE", "GEM_HOME", "GEM_PATH", "PERL5DB", "PERL5LIB", "PERL5OPT", "PERLLIB", "PHPRC",
    "PHP_INI_SCAN_DIR", "RUBYLIB", "RUBYOPT",
    // Java and .NET.
    "ANT_OPTS", "CATALINA_OPTS", "CLASSPATH", "DOTNET_ADDITIONAL_DEPS", "DOTNET_ROOT",
    "DOTNET_SHARED_STORE", "DOTNET_STARTUP_HOOKS", "GRADLE_OPTS", "GRADLE_USER_HOME", "JAVA_HOME",
    "JAVA_OPTS", "JAVA_TOOL_OPTIONS", "JDK_JAVAC_OPTIONS", "JDK_JAVA_OPTIONS", "MAVEN_ARGS", "MAVEN_OPTS",
    "SBT_OPTS", "_JAVA_OPTIONS",
    // R, Julia, Erlang, Tcl.
    "ELIXIR_ERL_OPTIONS", "ERL_AFLAGS", "ERL_FLAGS", "ERL_LIBS", "ERL_ZFLAGS", "JULIA_DEPOT_PATH",
    "JULIA_LOAD_PATH", "JULIA_PROJECT", "R_ENVIRON", "R_ENVIRON_USER", "R_HOME", "R_LIBS", "R_LIBS_SITE",
    "R_LIBS_USER", "R_PROFILE", "R_PROFILE_USER", "TCLLIBPATH", "TCL_LIBRARY",
    // Compilers and what drives them.
    "AR", "CARGO_ENCODED_RUSTFLAGS", "CARGO_HOME", "CC", "CMAKE_CXX_COMPILER_LAUNCHER",
    "CMAKE_C_COMPILER_LAUNCHER", "CMAKE_TOOLCHAIN_FILE", "COMPILER_PATH", "CPP", "CXX", "GCC_EXEC_PREFIX",
    "GNUMAKEFLAGS", "GOENV", "GOFLAGS", "GOROOT", "GOTOOLCHAIN", "LD", "MAKEFILES", "MAKEFLAGS",
    "MAKESHELL", "RUSTC", "RUSTC_WORKSPACE_WRAPPER", "RUSTC_WRAPPER", "RUSTDOC", "RUSTDOCFLAGS",
    "RUSTFLAGS", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN",
];

/// Names that are refused whatever follows: our own, the loader's (`LD_PRELOAD`,
/// `LD_AUDIT` and their like), and families that grow a number or a target.
const BEGINNINGS: [&str; 11] = [
    "STRONGROOM_",
    "LD_",
    "DYLD_",
    "CARGO_BUILD_",
    "CARGO_TARGET_",
    "COR_",
    "CORECLR_",
    "GIT_CONFIG",
    "GIT_SSH",
    "LESSKEY",
    "LUA_",
];

/// Whether programs take code from a variable of this name.
pub(super) fn takes_code(name: &EnvKey) -> bool {
    let name = name.as_str();
    NAMES.contains(&name) || BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> EnvKey {
        EnvKey::parse(name).unwrap()
    }

    #[test]
    fn every_name_can_be_a_name_and_stands_once() {
        for (at, name) in NAMES.iter().enumerate() {
            assert!(takes_code(&key(name)), "{name}");
            assert!(!NAMES[..at].contains(name), "{name} twice");
            assert!(!BEGINNINGS.iter().any(|b| name.starts_with(b)), "{name} is refused anyway");
        }
        for beginning in BEGINNINGS {
            assert!(takes_code(&key(&format!("{beginning}X"))), "{beginning}");
        }
    }

    #[test]
    fn names_that_secrets_have_are_let_through() {
        for name in [
            "API_KEY",
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "CARGO_REGISTRY_TOKEN",
            "DATABASE_URL",
            "DOCKER_PASSWORD",
            "ENVIRONMENT",
            "GITHUB_TOKEN",
            "GIT_TOKEN",
            "GIT_AUTHOR_NAME",
            "GOOGLE_API_KEY",
            "HOMEPAGE",
            "HTTPS_PROXY",
            "LDAP_PASSWORD",
            "NODE_AUTH_TOKEN",
            "NODE_ENV",
            "NPM_TOKEN",
            "PATHS",
            "OPENAI_API_KEY",
            "PGPASSWORD",
            "PIP_INDEX_URL",
            "PYTHONUNBUFFERED",
            "SSH_PRIVATE_KEY",
            "TMPDIR",
            "STRONGROOM",
            "CORE_TOKEN",
            "MAVEN_PASSWORD",
            "GIT_HTTP_PASSWORD",
            "LESS_SECRET",
        ] {
            assert!(!takes_code(&key(name)), "{name}");
        }
    }
}
