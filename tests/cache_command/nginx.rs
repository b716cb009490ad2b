//! A real web server that speaks TLS and HTTP/2, with a certificate of an authority (CA) of the test's own.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::{root, succeed};

/// A server for a directory; it goes with this. What is below `/read` may only be read.
pub struct Nginx {
    directory: tempfile::TempDir,
    daemon: Child,
    pub url: String,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

/// On `PATH`, where Debian has it, or where `scripts/setup-debian.sh` puts its files.
fn program(name: &str) -> Option<PathBuf> {
    let search = std::env::var_os("PATH").unwrap_or_default();
    let beside = ["/usr/sbin".into(), root().join("target/nginx/usr/sbin")];
    std::env::split_paths(&search).chain(beside).map(|directory| directory.join(name)).find(|path| path.is_file())
}

impl Nginx {
    /// Starts it, or says why the test is skipped.
    pub fn start(files: &Path) -> Option<Self> {
        let (Some(nginx), Some(_)) = (program("nginx"), program("openssl")) else {
            eprintln!("SKIPPED: there is no nginx (Debian: nginx-light), or no openssl");
            return None;
        };
        let directory = tempfile::tempdir().expect("a directory");
        let d = directory.path();
        certificates(d);
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        let places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let places = places.map(|name| format!("{name}_temp_path {};", d.join(name).display())).concat();
        let (own, files) = (d.display(), files.display());
        // Its one process is the one that is killed, and it stays who it is.
        let configuration = format!(
            "daemon off; master_process off; pid {own}/pid; error_log {own}/errors;\nevents {{}}\nhttp {{ {places}
            log_format asked '$server_protocol $connection $request_method $uri'; access_log {own}/asked asked;
            server {{
              listen 127.0.0.1:{port} ssl http2; ssl_certificate {own}/server.pem; ssl_certificate_key {own}/server.key;
              client_max_body_size 100m; root {files};
              location / {{ dav_methods PUT; create_full_put_path on; }}
              location /read/ {{ alias {files}/; }}
            }} }}\n"
        );
        fs::write(d.join("nginx.conf"), configuration).expect("written");
        let mut command = Command::new(nginx);
        command.arg("-c").arg(d.join("nginx.conf")).arg("-e").arg(d.join("errors")).stdin(Stdio::null());
        let mut server = Self { daemon: command.spawn().expect("nginx starts"), url: String::new(), directory };
        server.url = format!("https://127.0.0.1:{port}");
        for _ in 0..200 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(server);
            }
            assert!(server.daemon.try_wait().expect("ours").is_none(), "nginx ended: {}", server.log("errors"));
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("nginx does not answer: {}", server.log("errors"));
    }

    /// The certificate of its authority.
    pub fn authority(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    fn log(&self, name: &str) -> String {
        fs::read_to_string(self.directory.path().join(name)).unwrap_or_default()
    }

    /// What was asked for until now: protocol, connection, method and path of each.
    pub fn asked(&self) -> Vec<[String; 4]> {
        let line = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>().try_into().expect("four words");
        self.log("asked").lines().map(line).collect()
    }
}

/// An authority, and a certificate that it gave to this address.
fn certificates(directory: &Path) {
    let openssl = |words: &str| {
        succeed(Command::new("openssl").args(words.split(' ')).current_dir(directory).stdin(Stdio::null()));
    };
    fs::write(directory.join("names"), "subjectAltName = IP:127.0.0.1\nbasicConstraints = CA:FALSE\n")
        .expect("written");
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=authority"));
    openssl(&format!("req {key} -keyout server.key -out server.csr -subj /CN=server"));
    openssl("x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem");
}
