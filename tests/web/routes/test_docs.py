from engine.web.routes.docs import operations, resolve


def test_docs_describe_every_operation_without_anything_from_elsewhere(people):
    client = people.by_cookie("vera")
    answer = client.get("/api/docs")
    assert answer.status_code == 200
    document = client.get("/api/openapi.json").json()
    for path in document["paths"]:
        assert path in answer.text
    assert "<script" not in answer.text
    assert 'src="http' not in answer.text
    assert 'href="http' not in answer.text


def test_docs_need_a_session(people):
    assert people.client().get("/api/openapi.json").status_code == 401
    answer = people.client().get("/api/docs", headers={"Sec-Fetch-Mode": "navigate"})
    assert answer.headers["location"] == "/auth/login?next=/api/docs"


def test_schemas_are_put_in_place_and_circles_stay_names():
    document = {"components": {"schemas": {"A": {"title": "A", "items": {"$ref": "#/components/schemas/A"}}}}}
    assert resolve({"$ref": "#/components/schemas/A"}, document) == {"items": "A"}


def test_operations_are_read_with_their_parameters():
    spec = {
        "summary": "One",
        "parameters": [
            {"name": "n", "in": "query", "schema": {"anyOf": [{"type": "integer"}, {"type": "null"}]}}
        ],
        "responses": {"200": {"description": "Fine"}},
    }
    (found,) = operations({"paths": {"/x": {"get": spec}}, "info": {}})
    assert (found.method, found.path, found.group) == ("GET", "/x", "other")
    assert found.parameters[0]["kind"] == "integer"
    assert found.answers == [("200", "Fine")]
