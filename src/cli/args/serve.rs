//! Flags of `sgl serve`.

use super::common::{CommonArgs, WarmthArgs};
use crate::cli::values;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Args)]
pub struct ServeArgs {
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub limits: LimitArgs,
    #[command(flatten)]
    pub pictures: PictureArgs,
    #[command(flatten)]
    pub warmth: WarmthArgs,
    #[command(flatten)]
    pub common: CommonArgs,
    /// What `--print-config` prints.
    #[arg(skip)]
    pub printed: String,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Server")]
pub struct ServerArgs {
    /// Address or name to listen at; 0.0.0.0 is everywhere
    #[arg(long, value_name = "HOST", env = "LLAMA_ARG_HOST", default_value = "127.0.0.1")]
    pub host: String,
    /// Port to listen at; 0 is a free one, which is printed
    #[arg(long, value_name = "PORT", env = "LLAMA_ARG_PORT", default_value = "8080")]
    pub port: u16,
    /// Listen at this socket in the file system instead
    #[arg(long, value_name = "PATH", env = "SGL_UNIX")]
    pub unix: Option<PathBuf>,
    /// Name of the models for clients [default: the target's file name]
    #[arg(short, long, value_name = "NAME", env = "LLAMA_ARG_ALIAS")]
    pub alias: Option<String>,
    /// Keys of clients, separated by commas; without any, all who reach the server may ask
    #[arg(long, value_name = "KEYS", env = "LLAMA_API_KEY", value_delimiter = ',', hide_env_values = true)]
    pub api_key: Vec<String>,
    /// File with a key on each line
    #[arg(long, value_name = "FILE", env = "LLAMA_ARG_API_KEY_FILE")]
    pub api_key_file: Option<PathBuf>,
    /// Origins whose web pages may ask too, separated by commas; * is all [default: none but the server's own]
    #[arg(long, value_name = "ORIGINS", env = "SGL_CORS_ORIGIN", value_delimiter = ',')]
    pub cors_origin: Vec<String>,
    /// Names that a server without keys answers to, beside addresses, localhost and --host, while it listens to this machine alone; separated by commas, * is all
    #[arg(long, value_name = "NAMES", env = "SGL_ALLOWED_HOST", value_delimiter = ',')]
    pub allowed_host: Vec<String>,
    /// Requests that run at once
    #[arg(long, value_name = "N", env = "LLAMA_ARG_N_PARALLEL", default_value = "1", value_parser = values::parallel)]
    pub parallel: usize,
    /// Do not run the models in a process of their own that is started again when it dies
    #[arg(long, env = "SGL_NO_SUPERVISE", value_parser = clap::builder::FalseyValueParser::new(), overrides_with = "supervise")]
    pub no_supervise: bool,
    /// Run the models in a process of their own that is started again when it dies; the default on Unix
    #[arg(long, overrides_with = "no_supervise")]
    pub supervise: bool,
    /// Time for running answers when the server is told to end (SIGTERM, Ctrl-C)
    #[arg(long, value_name = "SECONDS", env = "SGL_SHUTDOWN_TIMEOUT", default_value = "30", value_parser = values::seconds)]
    pub shutdown_timeout: Duration,
    /// File with flags of this command as TOML, such as port = 8080; flags and the environment come before it
    #[arg(long, value_name = "FILE", env = "SGL_CONFIG")]
    pub config: Option<PathBuf>,
    /// Print what flags, environment, file and defaults come to, as such a file, and end
    #[arg(long)]
    pub print_config: bool,
    /// The socket at which a supervised process listens
    #[arg(long, value_name = "PATH", hide = true)]
    pub worker: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitArgs {
    /// Requests that wait beside those that run; others are told to come back (429)
    #[arg(long, value_name = "N", env = "SGL_MAX_QUEUED", default_value = "32", value_parser = values::queued)]
    pub max_queued: usize,
    /// Tokens of an answer that a request may ask for
    #[arg(long, value_name = "N", env = "SGL_MAX_TOKENS", default_value = "8192", value_parser = values::length)]
    pub max_tokens: u32,
    /// Pictures of a request
    #[arg(long, value_name = "N", env = "SGL_MAX_PICTURES", default_value = "16", value_parser = values::pictures)]
    pub max_pictures: usize,
    /// Pixels of the pictures of a request together, in millions
    #[arg(long, value_name = "N", env = "SGL_MAX_MEGAPIXELS", default_value = "100", value_parser = values::megapixels)]
    pub max_megapixels: u64,
    /// Size of a body
    #[arg(long, value_name = "MIB", env = "SGL_MAX_BODY", default_value = "64", value_parser = values::body_mebibytes)]
    pub max_body: usize,
    /// Time for an answer, waiting included
    #[arg(long, value_name = "SECONDS", env = "LLAMA_ARG_TIMEOUT", default_value = "3600", value_parser = values::seconds)]
    pub timeout: Duration,
    /// Time for a body to come
    #[arg(long, value_name = "SECONDS", env = "SGL_BODY_TIMEOUT", default_value = "60", value_parser = values::seconds)]
    pub body_timeout: Duration,
    /// Time for the headers of a request, and between two requests of a connection
    #[arg(long, value_name = "SECONDS", env = "SGL_HEADER_TIMEOUT", default_value = "15", value_parser = values::seconds)]
    pub header_timeout: Duration,
    /// Time in which a client takes something of an answer that is there
    #[arg(long, value_name = "SECONDS", env = "SGL_WRITE_TIMEOUT", default_value = "60", value_parser = values::seconds)]
    pub write_timeout: Duration,
    /// Connections at once
    #[arg(long, value_name = "N", env = "SGL_MAX_CONNECTIONS", default_value = "512", value_parser = values::queued)]
    pub max_connections: usize,
    /// Silence in a stream after which a comment tells that it is alive
    #[arg(long, value_name = "SECONDS", env = "LLAMA_ARG_SSE_PING_INTERVAL", default_value = "30", value_parser = values::seconds)]
    pub sse_ping_interval: Duration,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Pictures")]
pub struct PictureArgs {
    /// Folder that file:// stands for in requests [default: files are not read]
    #[arg(long, value_name = "DIR", env = "LLAMA_ARG_MEDIA_PATH")]
    pub media_path: Option<PathBuf>,
    /// Fetch pictures that requests name by http:// or https://, from public addresses
    #[arg(long, env = "SGL_ALLOW_REMOTE_MEDIA", value_parser = clap::builder::FalseyValueParser::new())]
    pub allow_remote_media: bool,
    /// Time for fetching a picture
    #[arg(long, value_name = "SECONDS", env = "SGL_REMOTE_TIMEOUT", default_value = "10", value_parser = values::seconds)]
    pub remote_timeout: Duration,
    /// Redirects that are followed for a picture
    #[arg(long, value_name = "N", env = "SGL_REMOTE_REDIRECTS", default_value = "3", value_parser = values::redirects)]
    pub remote_redirects: u32,
}
