import json

from click.testing import CliRunner

from engine.cli.webhooks import command

# The published example of Standard Webhooks, see tests/lib/test_signing.py.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
COMMON = ["--id", "msg_p5jXN8AQM9LWM0D4loKWxJek", "--timestamp", "1614265330"]
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def run(*args, body=BODY):
    return CliRunner().invoke(command, [*args], input=body)


def test_prints_the_signature_of_the_exact_bytes(data_dir):
    assert run("sign", "--secret", SECRET, *COMMON).stdout == SIGNATURE + "\n"
    document = json.loads(run("sign", "--secret", SECRET, *COMMON, "--format", "json").stdout)
    assert document["webhook-signature"] == SIGNATURE
    assert run("sign", "--secret", SECRET, *COMMON, body=BODY + b"\n").stdout != SIGNATURE + "\n"


def test_exits_0_for_a_genuine_message(data_dir):
    found = run("verify", "--secret", SECRET, *COMMON, "--signature", SIGNATURE, "--now", "1614265400")
    assert (found.exit_code, found.stdout) == (0, "valid\n")


def test_exits_1_with_the_reason(data_dir):
    found = run("verify", "--secret", SECRET, *COMMON, "--signature", SIGNATURE)
    assert (found.exit_code, found.stdout) == (1, "not valid: the message is too old\n")
    found = run(
        "verify",
        "--secret",
        SECRET,
        *COMMON,
        "--signature",
        "v1,AAAA",
        "--now",
        "1614265400",
        "--format",
        "json",
    )
    assert (found.exit_code, json.loads(found.stdout)) == (
        1,
        {"valid": False, "reason": "no signature matches"},
    )


def test_a_second_secret_is_tried(data_dir):
    other = "whsec_" + "A" * 32
    found = run(
        "verify",
        "--secret",
        other,
        "--secret",
        SECRET,
        *COMMON,
        "--signature",
        SIGNATURE,
        "--now",
        "1614265330",
    )
    assert found.exit_code == 0


def test_replay_repeats_what_failed(data_dir):
    from engine import lifecycle, tasks
    from engine.cli.output import COMMAND_LINE
    from engine.queries import webhooks as reads
    from engine.records import db
    from engine.services import webhooks
    from engine.words import SYSTEM
    from tests.engine_kit import ANN

    tasks.load()
    made = webhooks.create(ANN, {"url": "https://hooks.example.com/"})
    with db.main().write() as tx:
        delivery_id = lifecycle.emit_test(tx, made.endpoint)
    (task_id,) = [row["id"] for row in db.main().read("select id from tasks")]
    lifecycle.cancel(COMMAND_LINE, task_id)
    found = run("replay", "--failed", "--since", "2026-01-01T00:00:00.000Z", "--format", "json")
    assert json.loads(found.stdout) == {"n_deliveries": 1, "delivery_ids": [delivery_id]}
    assert reads.delivery(SYSTEM, delivery_id)["state"] == "waiting"
    assert run("replay", delivery_id).exception.code == "not_ended"
    assert run("replay").exception.code == "invalid_input"
