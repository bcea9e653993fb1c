//! The examples of `ops/` that no tool of their own can be asked about: that everything a
//! manifest refers to exists, that the engine and the proxy start with what a cluster would
//! give them, and that the image has all that the engine needs.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::support::certificates::certify;
use crate::support::prometheus::{ops, run, tool};
use crate::support::{Folder, Phone, Setup, run_to_end, sandbox, speech};
use tokio::process::Command;
use yaml_rust2::{Yaml, YamlLoader};

/// Every object of the example, by kind and name.
fn manifests() -> BTreeMap<(String, String), Yaml> {
    let mut objects = BTreeMap::new();
    for file in std::fs::read_dir(ops("kubernetes")).expect("the folder") {
        let path = file.expect("a file").path();
        let text = std::fs::read_to_string(&path).expect("a manifest");
        let documents = YamlLoader::load_from_str(&text);
        for object in documents.unwrap_or_else(|error| panic!("{}: {error}", path.display())) {
            let kind = text_at(&object, &["kind"]).to_owned();
            let name = text_at(&object, &["metadata", "name"]).to_owned();
            assert!(!kind.is_empty() && !name.is_empty(), "{}: {object:?}", path.display());
            assert!(!text_at(&object, &["apiVersion"]).is_empty(), "{kind} {name}");
            let before = objects.insert((kind, name), object);
            assert!(before.is_none(), "twice: {before:?}");
        }
    }
    objects
}

fn at<'a>(object: &'a Yaml, path: &[&str]) -> &'a Yaml {
    path.iter().fold(object, |object, key| &object[*key])
}

fn text_at<'a>(object: &'a Yaml, path: &[&str]) -> &'a str {
    at(object, path).as_str().unwrap_or_default()
}

fn list<'a>(object: &'a Yaml, path: &[&str]) -> &'a [Yaml] {
    at(object, path).as_vec().map_or(&[], Vec::as_slice)
}

/// The names in a list of objects that have one.
fn names(objects: &[Yaml]) -> BTreeSet<&str> {
    objects.iter().map(|object| text_at(object, &["name"])).collect()
}

/// The text of one key of a ConfigMap.
fn mapped(name: &str, key: &str) -> String {
    let objects = manifests();
    let map = &objects[&("ConfigMap".to_owned(), name.to_owned())];
    text_at(map, &["data", key]).to_owned()
}

/// The variables of the Secret with the keys.
fn variables() -> Vec<String> {
    let objects = manifests();
    let secret = &objects[&("Secret".to_owned(), "antiphon-keys".to_owned())];
    let data = at(secret, &["stringData"]).as_hash().expect("variables");
    data.keys().map(|key| key.as_str().expect("a name").to_owned()).collect()
}

#[test]
fn everything_that_a_manifest_refers_to_is_there() {
    let objects = manifests();
    let is_there = |kind: &str, name: &str| {
        assert!(objects.contains_key(&(kind.to_owned(), name.to_owned())), "no {kind} {name}");
    };
    let set = &objects[&("StatefulSet".to_owned(), "antiphon".to_owned())];
    is_there("Service", text_at(set, &["spec", "serviceName"]));
    let template = at(set, &["spec", "template"]);
    let labels = at(template, &["metadata", "labels"]);
    assert_eq!(at(set, &["spec", "selector", "matchLabels"]), labels);

    let pod = at(template, &["spec"]);
    let containers = list(pod, &["containers"]);
    let ports: Vec<Yaml> =
        containers.iter().flat_map(|container| list(container, &["ports"])).cloned().collect();
    let volumes = list(pod, &["volumes"]);
    for volume in volumes {
        match (text_at(volume, &["configMap", "name"]), text_at(volume, &["secret", "secretName"]))
        {
            ("", "") => panic!("what is lost with the pod holds nothing here: {volume:?}"),
            (map, "") => is_there("ConfigMap", map),
            (_, secret) => is_there("Secret", secret),
        }
    }
    let claims = list(set, &["spec", "volumeClaimTemplates"]);
    let claims = claims.iter().map(|claim| text_at(claim, &["metadata", "name"]));
    let mountable: BTreeSet<&str> = names(volumes).into_iter().chain(claims).collect();
    for container in containers {
        let name = text_at(container, &["name"]);
        for source in list(container, &["envFrom"]) {
            is_there("Secret", text_at(source, &["secretRef", "name"]));
        }
        for volume in names(list(container, &["volumeMounts"])) {
            assert!(mountable.contains(volume), "{name} mounts {volume}, which is nothing");
        }
        // A named user may be root, for all that Kubernetes knows.
        let user = at(container, &["securityContext", "runAsUser"]).as_i64();
        assert!(user.is_some_and(|user| user > 0), "{name} needs the number of its user");
        // The port of a container's probe is looked for in that container.
        let own = list(container, &["ports"]);
        for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
            if let Some(port) = at(container, &[probe, "httpGet", "port"]).as_str() {
                assert!(names(own).contains(port), "{name}: {probe} asks port {port}");
            }
        }
    }
    for ((kind, name), object) in &objects {
        match kind.as_str() {
            "Service" => {
                assert_eq!(at(object, &["spec", "selector"]), labels, "{name}");
                for port in list(object, &["spec", "ports"]) {
                    let target = text_at(port, &["targetPort"]);
                    assert!(names(&ports).contains(target), "{name}: no port {target}");
                }
            }
            "PodDisruptionBudget" => {
                assert_eq!(at(object, &["spec", "selector", "matchLabels"]), labels, "{name}");
            }
            "HorizontalPodAutoscaler" => {
                let target = at(object, &["spec", "scaleTargetRef"]);
                is_there(text_at(target, &["kind"]), text_at(target, &["name"]));
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn the_engine_of_the_cluster_starts_and_takes_a_call() {
    let sandbox = sandbox();
    // What the cluster has elsewhere: its addresses and its volume.
    let mut setup = Setup::with(&sandbox)
        .key("STT__OPENAI_HTTP__BASE_URL", &sandbox.base_url())
        .key("EVENTS__PATH", "voice_metrics.jsonl")
        .unset("ROUTE__STT")
        .unset("ROUTE__TTS");
    for variable in variables() {
        if variable != "COGNIGY_TENANT" {
            setup = setup.variable(&variable, antiphon::sandbox::DEFAULT_KEY);
        }
    }
    setup.folder().write("config.toml", &mapped("antiphon-config", "config.toml"));
    let arguments = ["--config", "config.toml"];
    let checked = setup.run(&[&["check"][..], &arguments].concat()).await;
    checked.assert_code(0);
    assert!(checked.printed.lines().all(|line| line.starts_with("ok ")), "{checked:?}");
    let engine = setup.key("LOG__FORMAT", "text").start().await;
    let mut phone = Phone::dial(&engine.simulator, "/?events=1").await.expect("taken");
    phone.turn(&speech()).await;
    phone.hang_up().await;
    assert!(!engine.setup.events().is_empty());
    engine.stop().await.assert_code(0);
}

#[tokio::test]
async fn the_proxy_of_the_cluster_starts_with_its_certificate_as_a_secret_mounts_it() {
    let Some(haproxy) = tool("haproxy") else { return };
    let setup = Setup::bare();
    let (certificate, key) = certify(&setup, "tls");
    // Kubernetes changes all files at once by a link to another folder.
    let mounted = setup.folder().join("mounted");
    let version = mounted.join("..2026_01_01");
    std::fs::create_dir_all(&version).expect("a folder");
    symlink("..2026_01_01", mounted.join("..data")).expect("a link");
    for (from, name) in [(certificate, "tls.crt"), (key, "tls.key")] {
        std::fs::copy(from, version.join(name)).expect("a copy");
        symlink(Path::new("..data").join(name), mounted.join(name)).expect("a link");
    }
    let text = mapped("antiphon-proxy", "haproxy.cfg");
    assert!(text.contains("/etc/haproxy/certificate/"), "{text}");
    let text = text.replace("/etc/haproxy/certificate", &mounted.to_string_lossy());
    let file = setup.folder().write("haproxy.cfg", &text);
    run(&haproxy, &["-c", "-f", &file.to_string_lossy()], "").await;
}

// === The image ===

fn dockerfile() -> String {
    std::fs::read_to_string(ops("docker/Dockerfile")).expect("the Dockerfile")
}

fn root(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

#[test]
fn the_image_is_built_of_what_is_there_by_a_rust_that_can() {
    let text = dockerfile();
    let manifest = std::fs::read_to_string(root("Cargo.toml")).expect("the manifest");
    let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = "));
    let version = version.expect("a version").trim_matches('"');
    assert!(text.contains(&format!("FROM rust:{version}-")), "the manifest wants {version}");
    // All that cargo needs to read the manifest goes into the build.
    let ignored = std::fs::read_to_string(root(".dockerignore")).expect("a list");
    let ignored: Vec<&str> =
        ignored.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    for needed in ["Cargo.toml", "Cargo.lock", "src", "assets", "benches", "tests", "README.md"] {
        assert!(root(needed).exists() && !ignored.contains(&needed), "{needed} is needed");
    }
    for left_out in ["target", ".git"] {
        assert!(ignored.contains(&left_out), "{left_out} would go into the build");
    }
}

/// The libraries that a program is linked with, by their paths.
async fn libraries(program: &Path) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(program).output().await.expect("ldd is there");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let paths =
        text.lines().filter_map(|line| line.split_whitespace().find(|it| it.starts_with('/')));
    paths.map(PathBuf::from).collect()
}

/// A folder as the image's last stage leaves it: the system's C library, the binary, a home.
async fn image() -> Folder {
    let folder = Folder::new();
    let binary = Path::new(env!("CARGO_BIN_EXE_antiphon"));
    let mut files = vec![(binary.to_owned(), PathBuf::from("usr/bin/antiphon"))];
    for library in libraries(binary).await {
        let name = library.file_name().expect("a name").to_string_lossy().into_owned();
        // What debian:bookworm-slim has: any other library has to be installed.
        let is_there = ["libc.", "libm.", "libgcc_s.", "ld-linux"];
        assert!(is_there.iter().any(|it| name.starts_with(it)), "{name} is not in the image");
        files.push((library.clone(), library.strip_prefix("/").expect("absolute").to_owned()));
    }
    for (from, to) in files {
        let to = folder.path().join(to);
        std::fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
        // Libraries are found by links. A hard one costs no time, where it can be made.
        let from = from.canonicalize().expect("it is there");
        if std::fs::hard_link(&from, &to).is_err() {
            std::fs::copy(&from, &to).expect("a copy");
        }
    }
    for home in ["var/lib/antiphon", "etc/antiphon", "proc", "tmp"] {
        std::fs::create_dir_all(folder.path().join(home)).expect("a folder");
    }
    folder
}

#[tokio::test]
async fn the_image_holds_all_that_the_engine_needs() {
    let text = dockerfile();
    for step in [
        "COPY --from=build /src/target/release/antiphon /usr/bin/antiphon",
        "USER 10001",
        "WORKDIR /var/lib/antiphon",
        "ENTRYPOINT [\"/usr/bin/antiphon\"]",
    ] {
        assert!(text.lines().any(|line| line == step), "{step} is followed here");
    }
    let image = image().await;
    let sandbox = sandbox();
    let setup = Setup::with(&sandbox)
        .key("STT__OPENAI_HTTP__BASE_URL", &sandbox.base_url())
        .key("ROUTE__STT", "openai-http")
        .variable("OPENAI_API_KEY", antiphon::sandbox::DEFAULT_KEY);
    let map = mapped("antiphon-config", "config.toml");
    std::fs::write(image.path().join("etc/antiphon/config.toml"), map).expect("a file");
    // A user namespace, so that who is not root may change the root as well.
    let can = Command::new("unshare").args(["--user", "--map-root-user", "true"]).status().await;
    if !can.is_ok_and(|status| status.success()) {
        println!("skipped: this computer lets nobody change the root");
        return;
    }
    let place = image.path().to_string_lossy().into_owned();
    let inside = ["/usr/bin/antiphon", "check", "--config", "/etc/antiphon/config.toml"];
    let outside = ["--user", "--map-root-user", "chroot", &place];
    let command = setup.command_by("unshare", &[&outside[..], &inside].concat());
    let ended = run_to_end(&setup, command).await;
    ended.assert_code(0);
    let lines: Vec<&str> = ended.printed.lines().collect();
    assert!(lines.iter().any(|line| line.starts_with("ok    configuration")), "{ended:?}");
    assert!(lines.iter().all(|line| line.starts_with("ok ")), "{ended:?}");
}
