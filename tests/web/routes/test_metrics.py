import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from engine.lib.trace import Statement, Trace
from engine.services import monitor
from engine.services.monitor import Unit
from engine.words import Role


@pytest.fixture
def scraped(people):
    work = Trace()
    work.statements["select 1"] = statement = Statement()
    statement.durations_ns = [2_000_000, 70_000_000]
    for duration_us in (3_000, 80_000, 20_000_000):
        unit = Unit("shop", "http", '/orders/{id}"\n', work if duration_us == 3_000 else None)
        unit.duration_us, unit.status, unit.method = duration_us, 200, "GET"
        monitor.record(unit)
    task = Unit("shop", "task", "report")
    task.duration_us, task.wait_us, task.outcome = 40_000_000, 200_000, "succeeded"
    monitor.record(task)
    for method in ("GET", "POST"):
        call = Unit("shop", "call", "GET api.example:8443")
        call.method, call.duration_us, call.outcome = method, 30_000, "succeeded"
        monitor.record(call)
    monitor.flush()
    answer = people.by_token("vera", Role.VIEWER).get("/metrics")
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    return {family.name: family for family in text_string_to_metric_families(answer.text)}


def values(family, **labels):
    return {
        (sample.name.removeprefix(family.name), sample.labels.get("le")): sample.value
        for sample in family.samples
        if labels.items() <= sample.labels.items()
    }


def test_requests_are_a_histogram_with_the_names_of_opentelemetry(scraped):
    found = values(scraped["http_server_request_duration_seconds"], service_name="shop")
    assert found["_count", None] == 3
    assert found["_sum", None] == pytest.approx(20.083)
    assert [found["_bucket", le] for le in ("0.005", "0.075", "0.1", "10.0", "+Inf")] == [1, 1, 2, 2, 3]


def test_hostile_route_names_are_escaped_labels(scraped):
    family = scraped["http_server_request_duration_seconds"]
    assert '/orders/{id}"?' in {sample.labels["http_route"] for sample in family.samples}


def test_queries_tasks_and_waiting_are_there(scraped):
    assert values(scraped["db_client_operation_duration_seconds"])["_bucket", "0.01"] == 1
    assert values(scraped["db_client_operation_duration_seconds"])["_count", None] == 2
    assert values(scraped["messaging_process_duration_seconds"], outcome="succeeded")["_bucket", "60.0"] == 1
    assert values(scraped["offload_task_wait_duration_seconds"])["_sum", None] == pytest.approx(0.2)


def test_the_state_of_the_installation_is_there(scraped):
    assert values(scraped["offload_workers"])["", None] == 0
    assert values(scraped["offload_monitor_units"], fate="dropped")["", None] == 0
    assert values(scraped["offload_oldest_waiting_seconds"])["", None] == 0


def test_calls_name_the_server_and_each_sample_is_there_once(scraped):
    """Attributes of http.client.request.duration; OpenMetrics 1.0 allows a label set once per family."""
    family = scraped["http_client_request_duration_seconds"]
    (count,) = [sample for sample in family.samples if sample.name.endswith("_count")]
    assert count.value == 2
    labels = [count.labels[name] for name in ("http_request_method", "server_address", "server_port")]
    assert labels == ["GET", "api.example", "8443"]


def test_required_attributes_of_queries_and_tasks_are_there(scraped):
    assert values(scraped["db_client_operation_duration_seconds"], db_system_name="sqlite")
    assert values(scraped["messaging_process_duration_seconds"], messaging_system="huey")
