//! Programs that speak, misbehave and end: a shell's, and Python's.

use super::*;
use crate::adapter::Stopper;
use crate::model::{Setting, SettingValue, as_f64};
use tokio::sync::mpsc;

fn adapter(program: &str, arguments: &[&str], more: &str) -> Adapter {
    let text = format!("program = '{program}'\n{more}");
    let mut config: Config = toml::from_str(&text).unwrap();
    config.arguments = arguments.iter().map(|word| (*word).to_owned()).collect();
    Adapter::new(config).unwrap()
}

fn shell(script: &str, more: &str) -> Adapter {
    adapter("/bin/sh", &["-c", script], more)
}

struct Run {
    reports: mpsc::Receiver<Report>,
    orders: mpsc::Sender<Order>,
    stopper: Stopper,
    task: tokio::task::JoinHandle<Result<(), AdapterError>>,
}

fn run(mut adapter: Adapter) -> Run {
    let (mut link, reports, orders) = Link::new(16);
    let (stopper, stop) = Stopper::new();
    let task = tokio::spawn(async move {
        use crate::Adapter as _;
        adapter.run(&mut link, &stop).await
    });
    Run {
        reports,
        orders,
        stopper,
        task,
    }
}

impl Run {
    async fn order(&self, on: bool) -> Result<(), OrderError> {
        let setting = Setting {
            name: Text::from_static("on"),
            value: SettingValue::Boolean(on),
        };
        let by = Instant::now() + Duration::from_secs(20);
        let (order, answer) = Order::new(Text::from_static("a"), vec![setting], by);
        self.orders.send(order).await.unwrap();
        answer.await.unwrap()
    }

    async fn things(&mut self) {
        assert_eq!(self.reports.recv().await, Some(Report::Connected));
        let told = self.reports.recv().await;
        assert!(matches!(told, Some(Report::Things(_))), "{told:?}");
    }
}

const THINGS: &str = r#"echo '{"things":[{"id":"a","fields":[{"name":"t","kind":"numeric"}],"parameters":[{"name":"on","kind":"boolean"}]}]}'"#;

#[tokio::test]
async fn a_shell_script_has_things_samples_and_an_environment_of_its_own() {
    let script = format!(
        r#"{THINGS}; n=$(env | grep -vc -e '^PATH=' -e '^PWD=' -e '^_=' -e '^SHLVL=' -e '^OLDPWD=')
        echo '{{"sample":{{"thing":"a","at":"2030-01-01T00:00:00Z","fields":{{"t":{{"value":'$n.50',"unit":"Cel"}}}}}}}}'
        echo '{{"gone":["a"]}}'; cat >/dev/null"#
    );
    let mut run = run(shell(&script, "environment = { A = '1', B = '2' }"));
    run.things().await;
    let Some(Report::Sample(sample)) = run.reports.recv().await else {
        panic!("no sample");
    };
    assert_eq!(as_f64(&sample.readings[0].value), Some(2.5));
    assert_eq!(sample.at.as_unix_ms(), 1_893_456_000_000);
    let gone = Report::Gone(vec![Text::from_static("a")]);
    assert_eq!(run.reports.recv().await, Some(gone));
    run.stopper.stop();
    run.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_python_program_obeys_and_refuses_and_an_order_that_it_takes_along_is_in_doubt() {
    let script = r#"
import json, sys
def say(**what): print(json.dumps(what), flush=True)
say(things=[{"id": "a", "fields": [{"name": "on", "kind": "boolean"}],
             "parameters": [{"name": "on", "kind": "boolean"}]}])
count = 0
for line in sys.stdin:
    order = json.loads(line)["set"]
    assert order["thing"] == "a" and 0 < order["within_ms"] <= 20000
    count += 1
    if count == 3: sys.exit(3)
    if order["parameters"]["on"]:
        say(sample={"thing": "a", "fields": {"on": True}})
        say(done=order["id"])
    else:
        say(failed=order["id"], why="it is stuck")
"#;
    let mut run = run(adapter("python3", &["-c", script], ""));
    run.things().await;
    assert_eq!(run.order(true).await, Ok(()));
    assert!(matches!(run.reports.recv().await, Some(Report::Sample(_))));
    let stuck = OrderError::Refused("it is stuck".to_owned());
    assert_eq!(run.order(false).await, Err(stuck));
    let last = run.order(true).await;
    assert!(matches!(last, Err(OrderError::InDoubt(_))), "{last:?}");
    let error = run.task.await.unwrap().unwrap_err().to_string();
    assert!(error.contains("exit status: 3"), "{error}");
}

#[tokio::test]
async fn a_few_bad_lines_are_left_out_and_one_more_is_named_with_its_number_and_program() {
    let script = "echo nonsense; echo '{}'; echo '{\"done\":true}'; cat";
    let error = run(shell(script, "bad_lines = 2")).task.await.unwrap();
    let error = error.unwrap_err().to_string();
    assert!(
        error.starts_with("the program /bin/sh misbehaves: line 3: it is no message"),
        "{error}"
    );
}

#[tokio::test]
async fn a_line_without_an_end_is_not_kept_for_ever() {
    let error = run(shell("cat /dev/zero", "longest_line = 1000"))
        .task
        .await;
    let error = error.unwrap().unwrap_err().to_string();
    assert!(error.contains("longer than 1000 bytes"), "{error}");
}

#[tokio::test]
async fn a_program_that_does_not_stop_is_killed_and_waited_for() {
    let script = format!("trap '' TERM; {THINGS}; echo $$ >&2; exec sleep 1000");
    let mut run = run(shell(&script, "stop_within = '50ms'"));
    run.things().await;
    run.stopper.stop();
    run.task.await.unwrap().unwrap();
    assert_eq!(children(), 0, "a process is left");
}

/// How many of our children are sleeping for 1000 seconds, or were and are not waited for.
fn children() -> usize {
    let ours = std::process::id().to_string();
    let folders = std::fs::read_dir("/proc").unwrap().flatten();
    folders
        .filter_map(|folder| std::fs::read_to_string(folder.path().join("stat")).ok())
        .filter(|stat| {
            let (name, rest) = stat.rsplit_once(')').unwrap_or_default();
            name.ends_with("(sleep") && rest.split_whitespace().nth(1) == Some(&ours)
        })
        .count()
}
