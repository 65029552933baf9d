//! What the layers of configuration give together, and what they refuse.
//!
//! In: files, environment and flags as text. Out: settings, or every mistake at once with its remedy.

use super::*;

fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("config.toml");
    std::fs::write(&path, text).expect("written");
    (folder, path)
}

fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Every problem of a file, one a line, with its path shortened.
fn problems_of(text: &str) -> String {
    let (_folder, path) = written(text);
    let sources = Sources { file: Some(path.clone()), ..Sources::default() };
    match Config::load(&sources) {
        Ok(_) => "no problem".to_owned(),
        Err(error) => error.to_string().replace(&path.display().to_string(), "FILE"),
    }
}

#[test]
fn defaults_are_a_configuration_and_every_key_is_taken() {
    let config = Config::load(&Sources::default()).expect("defaults are right");
    assert_eq!((config.camera.width, config.camera.height), (640, 480));
    assert_eq!(config.settings().len(), KEYS.len());
    for (setting, key) in config.settings().iter().zip(KEYS) {
        assert_eq!(setting.key, key.name);
        assert_eq!(setting.value.is_some(), key.default.is_some(), "{}", key.name);
        assert_eq!(setting.origin, Origin::Default);
    }
}

#[test]
fn every_example_of_a_key_without_default_is_right() {
    for key in KEYS.iter().filter(|key| key.default.is_none()) {
        let (section, name) = key.name.rsplit_once('.').expect("section.key");
        let text = problems_of(&format!("[{section}]\n{name} = {}", key.example));
        assert!(!text.contains("must be"), "{text}");
    }
}

#[test]
fn every_limit_and_every_word_fits_its_field() {
    for key in KEYS {
        let values: Vec<String> = match key.kind {
            KeyKind::Whole { min, max } => vec![min.to_string(), max.to_string()],
            KeyKind::Real { min, max } => vec![min.to_string(), max.to_string()],
            KeyKind::OneOf(numbers) => numbers.iter().map(i64::to_string).collect(),
            KeyKind::Choice(words) | KeyKind::Choices(words) => {
                words.iter().map(|word| (*word).to_owned()).collect()
            }
            _ => continue,
        };
        for value in values {
            let flags = vec![Flag::set(key.name, &value)];
            let loaded = Config::load(&Sources { flags, ..Sources::default() });
            let text = loaded.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(!text.contains("report it"), "{text}");
        }
    }
}

#[test]
fn the_later_layer_counts_and_each_says_where_it_came_from() {
    let (_folder, path) = written("[mqtt]\nhost = 'file'\nport = 1884\nbase = 'file'\n");
    let config = Config::load(&Sources {
        file: Some(path.clone()),
        environment: environment(&[
            ("DEEPID_EDGE__MQTT__HOST", "environment"),
            ("DEEPID_EDGE__MQTT__BASE", "environment"),
            ("DEEPID_EDGE__MQTT__HOME_ASSISTANT__DISCOVERY", "true"),
            ("DEEPID_EDGE_CONFIG", "is of the command line"),
            ("PATH", "/usr/bin"),
        ]),
        flags: vec![Flag::set("mqtt.host", "first"), Flag::set("mqtt.host", "last")],
    })
    .expect("right");
    assert_eq!(config.mqtt.host, "last");
    assert_eq!(config.mqtt.base, "environment");
    assert_eq!(config.mqtt.port, 1884);
    assert!(config.mqtt.home_assistant.discovery);
    assert_eq!(config.door.id, "front");
    let origin = |key| config.origin(key);
    assert_eq!(origin("mqtt.host"), Origin::Flag("--set mqtt.host".to_owned()));
    assert_eq!(origin("mqtt.base"), Origin::Environment("DEEPID_EDGE__MQTT__BASE".to_owned()));
    assert_eq!(origin("mqtt.port"), Origin::File(path));
    assert_eq!(origin("door.id"), Origin::Default);
}

#[test]
fn controls_of_several_layers_come_together() {
    let (_folder, path) = written("[camera.controls]\nbrightness = 3\ngain = 1\n");
    let config = Config::load(&Sources {
        file: Some(path),
        environment: environment(&[("DEEPID_EDGE__CAMERA__CONTROLS__GAIN", "7")]),
        flags: vec![],
    })
    .expect("right");
    let controls: Vec<_> = config.camera.controls.iter().map(|(n, v)| (n.as_str(), *v)).collect();
    assert_eq!(controls, [("brightness", 3), ("gain", 7)]);
}

#[test]
fn an_empty_text_unsets_what_may_be_unset() {
    let (_folder, path) = written("[mqtt]\nusername = 'door'\n");
    let load = |variable: &str| {
        Config::load(&Sources {
            file: Some(path.clone()),
            environment: environment(&[(variable, "")]),
            flags: vec![],
        })
    };
    assert_eq!(load("DEEPID_EDGE__MQTT__USERNAME").expect("right").mqtt.username, None);
    assert!(load("DEEPID_EDGE__MQTT__HOST").is_err());
}

#[test]
fn a_wrong_value_is_reported_even_where_a_flag_hides_it() {
    let (_folder, path) = written("[camera]\nwidth = 'wide'\n");
    let sources = Sources {
        file: Some(path),
        flags: vec![Flag::set("camera.width", "640")],
        ..Sources::default()
    };
    assert!(Config::load(&sources).is_err());
}

#[test]
fn a_target_of_a_higher_layer_undoes_a_threshold_of_a_lower_one() {
    let (_folder, path) = written("[recognise]\nthreshold = 0.5\n");
    let load =
        |flags| Config::load(&Sources { file: Some(path.clone()), flags, ..Sources::default() });
    assert_eq!(load(vec![]).expect("right").recognise.threshold, Some(0.5));
    let config = load(vec![Flag::set("recognise.target_fpir", "0.01")]).expect("right");
    assert_eq!(config.recognise.threshold, None);
    assert!((config.recognise.target_fpir - 0.01).abs() < 1e-12);
}

/// A file's text and the lines that it earns, all in one snapshot.
#[test]
fn every_kind_of_mistake_is_named_with_its_remedy() {
    let cases = [
        "[camera]\nwidht = 640\n",
        "[camera]\nwidth = '640'\nheight = 0\nfps = 1.5\n",
        "[kamera]\nwidth = 640\n",
        "camera = 3\n",
        "width = 640\n",
        "[door]\nid = 'Front door'\n",
        "[camera]\nformats = []\n",
        "[camera]\nformats = ['h264']\n",
        "[camera]\ncontrols = { brightness = 'high' }\n",
        "[recognise]\nmetric = 'cosinus'\n",
        "[recognise]\ntarget_fpir = 1\n",
        "[recognise]\ntarget_fpir = nan\n",
        "[recognise]\nthreshold = 1.5\n",
        "[recognise]\nmetric = 'euclidean-l2'\nthreshold = -0.5\n",
        "[recognise]\nthreshold = 0.5\ntarget_fpir = 0.01\n",
        "[visit]\nagreeing = 6\n",
        "[visit]\nstale_ms = 9000\n",
        "[quality]\nexposure_min = 240\n",
        "[mqtt]\nport = 70000\nhost = 'mqtt://broker'\nbase = 'doors/#'\n",
        "[mqtt]\npassword = 'hunter2'\n",
        "[mqtt]\npassword_file = '/etc/secret'\n",
        "[visit]\nweight_min = 4\n",
        "[detect]\nrefresh_frames = 3\n",
        "[mqtt.tls]\nca = '/etc/ca.pem'\ncert = '/etc/cert.pem'\n",
        "[mqtt.tls]\nkey = '/etc/key.pem'\n",
        "[mqtt]\nenabled = 'yes'\n",
        "[store]\npath = ''\n",
        "[log]\nlevel = 'loud'\n",
        "[camera\n",
        "[camera]\nidentity = 'HD Webcam'\n",
        "[camera]\nidentity = 'usb:046d:0825'\n[camera.replay]\npath = '/tmp/visit.mjpeg'\n",
    ];
    let report: Vec<String> =
        cases.iter().map(|case| format!("{case}=>\n{}\n\n", problems_of(case))).collect();
    insta::assert_snapshot!(report.concat());
}

#[test]
fn mistakes_in_environment_and_flags_name_variable_and_flag() {
    let error = Config::load(&Sources {
        file: None,
        environment: environment(&[
            ("DEEPID_EDGE__MQTT__PROT", "1883"),
            ("DEEPID_EDGE__MQTT__PORT", "many"),
        ]),
        flags: vec![Flag::set("mirrored", "true"), Flag::set("recognise.mirrored", "perhaps")],
    })
    .expect_err("wrong");
    insta::assert_snapshot!(error);
}

#[test]
fn unreadable_large_and_strange_files_are_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let load = |path: PathBuf| {
        Config::load(&Sources { file: Some(path), ..Sources::default() }).expect_err("refused")
    };
    assert!(matches!(load(folder.path().join("absent.toml")), ConfigError::Unreadable { .. }));
    assert!(matches!(load(folder.path().to_owned()), ConfigError::Unreadable { .. }));
    let large = folder.path().join("large.toml");
    std::fs::write(&large, vec![b'#'; 300_000]).expect("written");
    assert!(matches!(load(large), ConfigError::TooLarge { .. }));
    let binary = folder.path().join("binary.toml");
    std::fs::write(&binary, [0xff, 0xfe, 0x00]).expect("written");
    assert!(matches!(load(binary), ConfigError::Syntax { .. }));
}

#[test]
fn the_default_file_sets_nothing_and_shows_the_defaults() {
    let (_folder, path) = written(&default_file());
    let sources = Sources { file: Some(path), ..Sources::default() };
    let config = Config::load(&sources).expect("the default file is right");
    assert!(config.settings().iter().all(|setting| setting.origin == Origin::Default));

    let active: String = default_file()
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let table: toml::Table = active.parse().expect("TOML without its comment signs too");
    for key in KEYS {
        let found = key
            .name
            .split('.')
            .try_fold(toml::Value::Table(table.clone()), |at, part| at.get(part).cloned());
        let wanted: toml::Table =
            format!("value = {}", key.default.unwrap_or(key.example)).parse().expect("TOML");
        assert_eq!(found.as_ref(), wanted.get("value"), "{}", key.name);
    }
}

#[test]
fn less_is_accepted_than_is_asked_for_only_beside_a_threshold() {
    let load = |flags: &[(&'static str, &str)]| {
        let flags = flags.iter().map(|(key, value)| Flag::set(key, value)).collect();
        Config::load(&Sources { flags, ..Sources::default() })
    };
    let error = load(&[("recognise.target_fpir", "0.05")]).expect_err("0.05 is beyond 0.01");
    assert!(error.to_string().contains("recognise.accept_fpir"), "{error}");
    load(&[("recognise.target_fpir", "0.05"), ("recognise.accept_fpir", "0.05")]).expect("right");
    load(&[("recognise.threshold", "0.6"), ("recognise.accept_fpir", "0.0001")]).expect("right");
}

#[test]
fn a_face_alone_needs_no_worse_a_claim_than_is_accepted_at_all() {
    let load = |flags: &[(&'static str, &str)]| {
        let flags = flags.iter().map(|(key, value)| Flag::set(key, value)).collect();
        Config::load(&Sources { flags, ..Sources::default() })
    };
    let error = load(&[("policy.required_fpir", "0.05")]).expect_err("0.05 is beyond 0.03");
    assert!(error.to_string().contains("policy.required_fpir"), "{error}");
    load(&[("policy.required_fpir", "0.03")]).expect("right");
    load(&[("policy.required_fpir", "1.0"), ("recognise.accept_fpir", "1.0")]).expect("right");
}

#[test]
fn the_deployed_file_is_made_from_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/config.toml");
    let deployed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        deployed == default_file(),
        "deploy/config.toml is not up to date: 'cargo run -- config show --default > deploy/config.toml'"
    );
}

#[test]
fn folders_and_library_that_are_set_are_never_replaced() {
    let config = Config::load(&Sources {
        flags: vec![
            Flag::set("models.directory", "/nonexistent/models"),
            Flag::set("models.library", "/nonexistent/lib.so"),
        ],
        ..Sources::default()
    })
    .expect("right");
    assert!(matches!(config.model_folders(), Err(ConfigError::NamedFile { .. })));
    assert!(matches!(config.library_path(), Err(ConfigError::NamedFile { .. })));
}

#[test]
fn a_host_with_more_around_it_is_refused_with_what_was_meant() {
    for (host, wanted) in [
        ("broker.lan:1884", r#"write mqtt.host = "broker.lan" and mqtt.port = 1884"#),
        ("[::1]", r#"write mqtt.host = "::1""#),
        ("broker.lan.", r#"write mqtt.host = "broker.lan""#),
        ("broker.lan ", r#"write mqtt.host = "broker.lan""#),
    ] {
        let said = problems_of(&format!("[mqtt]\nhost = '{host}'\n"));
        assert!(said.starts_with("FILE: mqtt.host = "), "{said}");
        assert!(
            said.contains("must be a host name or an address") && said.ends_with(wanted),
            "{said}"
        );
    }
    assert_eq!(problems_of("[mqtt]\nhost = 'fe80::1%eth0'\n"), "no problem");
}

#[test]
fn text_that_is_not_utf8_is_refused_and_never_altered() {
    let sources = Sources {
        environment: environment(&[("DEEPID_EDGE__STORE__PATH", "/data/\u{fffd}.db")]),
        ..Sources::default()
    };
    let text = Config::load(&sources).expect_err("refused").to_string();
    assert!(text.contains("DEEPID_EDGE__STORE__PATH") && text.contains("UTF-8"), "{text}");
}
