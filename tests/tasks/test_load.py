import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def submit(data_dir, modules):
    command = [sys.executable, "-m", "engine", "tasks", "submit", "shop_supplier", "--payload", "-"]
    return subprocess.run(
        [*command, "--format", "json"],
        input='{"url": "https://example.com/stock/1"}',
        env={**os.environ, "OFFLOAD_DATA_DIR": str(data_dir), "OFFLOAD_TASK_MODULES": modules},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_task_type_of_a_named_module_can_be_submitted(tmp_path):
    assert json.loads(submit(tmp_path, "examples.shop.tasks").stdout)["type"] == "shop_supplier"


def test_without_its_module_the_type_is_unknown(tmp_path):
    done = submit(tmp_path, "")
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["code"] == "unknown_type"
