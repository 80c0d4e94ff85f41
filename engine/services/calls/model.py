"""What a call takes, how it is checked, and how its secrets are sealed."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlencode, urlsplit, urlunsplit

from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator

from engine import settings
from engine.errors import InvalidInput, Unavailable
from engine.lib import addresses, http, sealing
from engine.registry import Body

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
IDEMPOTENT = frozenset(METHODS) - {"POST", "PATCH"}
_WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS"})
_TEXT_CHARS = 900_000
_MOST_PARAMS = 100
_LONGEST_TTL_S = 7 * 86_400

Scalar = str | int | float | bool


def _value(value: object) -> object:
    """Refuse what no query holds, in one sentence in place of one for each type it is not."""
    if all(isinstance(one, Scalar) for one in (value if isinstance(value, list) else [value])):
        return value
    raise ValueError("write text, a number, true or false, or a list of these")


Param = Annotated[Scalar | list[Scalar], BeforeValidator(_value)]
Method = Annotated[
    Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
    BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value),
]


class ApiCall(Body):
    """A call of another server."""

    model_config = ConfigDict(extra="forbid", frozen=True, serialize_by_alias=True)

    method: Method = Field("GET", description="GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS")
    url: str = Field(description="http:// or https:// address of a public server")
    headers: dict[str, str] = Field(default_factory=dict, description="Headers to send")
    params: dict[str, Param] = Field(
        default_factory=dict, max_length=_MOST_PARAMS, description="Added to the address as a query"
    )
    body_json: Any = Field(None, alias="json", description="A body to send as JSON")
    text: str | None = Field(None, max_length=_TEXT_CHARS, description="A body to send as it is")
    timeout_s: float | None = Field(None, gt=0, le=120, description="Longest time of one try, in seconds")
    retries: int | None = Field(None, ge=0, le=9, description="Further tries after the first")
    cache_ttl_s: int | None = Field(
        None, ge=0, le=_LONGEST_TTL_S, description="Keep the answer so long, and use a kept one"
    )
    sealed: str | None = Field(None, max_length=600_000, description="Set by Offload: secrets, sealed")
    free: bool = Field(False, description="Set by Offload: answered from the cache when submitted")

    @field_validator("headers")
    @classmethod
    def _headers(cls, value: dict[str, str]) -> dict[str, str]:
        try:
            return http.check_headers(value)
        except InvalidInput as error:
            raise ValueError("; ".join(f"{path}: {text}" for path, text in error.fields.items())) from None

    @field_validator("url")
    @classmethod
    def _url(cls, value: str) -> str:
        if not addresses.check_url(value).allowed:
            raise ValueError("address not allowed")
        return value

    @model_validator(mode="after")
    def _body(self) -> "ApiCall":
        if self.body_json is not None and self.text is not None:
            raise ValueError("give json or text, not both")
        if self.method in _WITHOUT_BODY and self.content is not None:
            raise ValueError(f"a {self.method} has no body")
        if len(self.full_url) > 4_096 or not addresses.check_url(self.full_url).allowed:
            raise ValueError("the address with its params is too long")
        return self

    @property
    def full_url(self) -> str:
        """The address with `params`, without the fragment."""
        parts = urlsplit(self.url)
        pairs = [(name, _spelled(v)) for name, value in self.params.items() for v in _as_list(value)]
        query = "&".join(part for part in (parts.query, urlencode(pairs)) if part)
        return urlunsplit((parts.scheme, parts.netloc, parts.path or "/", query, ""))

    @property
    def target(self) -> str:
        """What the rate limit counts: scheme, host, port and path."""
        return addresses.target(self.url)

    @property
    def host(self) -> str:
        return addresses.check_url(self.url).host

    @property
    def shown_url(self) -> str:
        """The address with the values of secret parameters masked."""
        return http.mask_url(self.full_url)

    @property
    def content(self) -> bytes | None:
        if self.text is not None:
            return self.text.encode("utf-8", "replace")
        if self.body_json is None:
            return None
        return json.dumps(self.body_json, ensure_ascii=False, separators=(",", ":")).encode(
            "utf-8", "replace"
        )

    @property
    def n_tries(self) -> int:
        return settings.get().call_tries if self.retries is None else self.retries + 1

    @property
    def may_be_repeated(self) -> bool:
        """Whether sending it twice is the same as once, by its method or by its idempotency key."""
        return self.method in IDEMPOTENT or any(name.lower() == "idempotency-key" for name in self.headers)

    def request(self) -> http.Request:
        """Return what the client sends."""
        names = {name.lower() for name in self.headers}
        headers = dict(self.headers)
        if "content-type" not in names and self.content is not None:
            headers["Content-Type"] = "application/json" if self.text is None else "text/plain; charset=utf-8"
        return http.Request(self.method, self.full_url, headers, self.content)


def describe(call: ApiCall) -> str:
    """Return a line about a call, without its query."""
    return f"{call.method} {call.shown_url.partition('?')[0]}"


def protect(owner: str, call: ApiCall) -> ApiCall:
    """Return a call whose secret headers and parameters are sealed for its owner, and masked to readers."""
    call = reveal(owner, call)
    secrets: dict[str, Any] = {
        "origin": _origin(call.url),
        "headers": {name: value for name, value in call.headers.items() if http.is_secret(name)},
        "params": {name: value for name, value in call.params.items() if http.is_secret(name)},
    }
    masked_url = http.mask_url(call.url) if urlsplit(call.url).query else call.url
    if masked_url != call.url:
        secrets["url"] = call.url
    if not (secrets["headers"] or secrets["params"] or "url" in secrets):
        return call
    return call.model_copy(
        update={
            "headers": dict(http.mask_headers(call.headers.items())),
            "params": {
                name: http.MASK if name in secrets["params"] else v for name, v in call.params.items()
            },
            "url": masked_url,
            "sealed": _sealer().seal(json.dumps(secrets), owner),
        }
    )


def reveal(owner: str, call: ApiCall) -> ApiCall:
    """Return a call with its secrets in place; raise InvalidInput when they were sealed for somebody else.

    They go to the host they were given for and no other: whoever may edit a call must not learn its secrets.
    A value that was edited after sealing stays as it is.
    """
    if call.sealed is None:
        return call
    try:
        secrets: Mapping[str, Any] = json.loads(_sealer().open(call.sealed, owner))
    except (Unavailable, ValueError) as error:
        raise InvalidInput(
            "The sealed secrets of this call cannot be used; give them again.", fields={"sealed": "not yours"}
        ) from error
    if secrets.get("origin") != _origin(call.url):
        raise InvalidInput(
            "The secrets of this call were given for another host; give them again.",
            fields={"url": "another host than the secrets were given for"},
        )
    whole = secrets.get("url")
    return call.model_copy(
        update={
            "headers": _overlaid(call.headers, secrets["headers"]),
            "params": _overlaid(call.params, secrets["params"]),
            "url": whole if whole and http.mask_url(whole) == call.url else call.url,
            "sealed": None,
        }
    )


def _overlaid(shown: Mapping[str, Any], secrets: Mapping[str, Any]) -> dict[str, Any]:
    return {n: secrets[n] if v == http.MASK and n in secrets else v for n, v in shown.items()}


def _origin(url: str) -> str:
    found = addresses.check_url(url)
    return f"{found.scheme}://{found.host}:{found.port}"


def _sealer() -> sealing.Sealer:
    return sealing.sealer(settings.get().data_dir, "calls")


def _as_list(value: Scalar | list[Scalar]) -> list[Scalar]:
    return value if isinstance(value, list) else [value]


def _spelled(value: Scalar) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
