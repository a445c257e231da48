"""Errors as RFC 9457 problem documents: each names what is wrong, what was found, and what to do about it."""

from __future__ import annotations

import http
import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from keeper.domain.errors import ComponentError, InputError
from keeper.store.documents import clean_text

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
_SHOWN = 200


class FieldProblem(BaseModel):
    """One value that cannot be used."""

    field: str = Field(examples=["query.limit"])
    value: str = Field(examples=["'1000'"])
    remedy: str = Field(examples=["Input should be less than or equal to 200."])


class Problem(BaseModel):
    """RFC 9457; ``field``, ``value`` and ``remedy`` repeat the first of ``errors``."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": "urn:orion:problem:invalid-input",
                "title": "Invalid input",
                "status": 422,
                "detail": "query.limit: '1000' cannot be used. Input should be less than or equal to 200.",
                "instance": "/api/history/trades",
                "field": "query.limit",
                "value": "'1000'",
                "remedy": "Input should be less than or equal to 200.",
                "errors": [
                    {
                        "field": "query.limit",
                        "value": "'1000'",
                        "remedy": "Input should be less than or equal to 200.",
                    }
                ],
            }
        }
    )

    type: str
    title: str
    status: int
    detail: str
    instance: str
    field: str | None = None
    value: str | None = None
    remedy: str | None = None
    errors: list[FieldProblem] | None = None


class Refused(Exception):
    """A request that is understood and turned down.

    Args:
        kind: last part of the problem's type, such as ``rate-limited``.
        detail: what happened.
        remedy: what to do, as an instruction.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        remedy: str,
        *,
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.remedy = remedy
        self.field = field
        self.headers = dict(headers or {})


def answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route may answer besides success, for the OpenAPI description."""
    return {
        status: {
            "description": http.HTTPStatus(status).phrase,
            "model": Problem,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }


def document(path: str, status: int, kind: str, detail: str, **more: object) -> dict[str, object]:
    """The members of a problem, those that are None left out."""
    members = {
        "type": f"urn:orion:problem:{kind}",
        "title": kind.replace("-", " ").capitalize(),
        "status": status,
        "detail": clean_text(detail),
        "instance": clean_text(path),
        **more,
    }
    return {name: value for name, value in members.items() if value is not None}


def response(
    path: str, status: int, kind: str, detail: str, headers: Mapping[str, str] | None = None, **more: object
) -> JSONResponse:
    content = document(path, status, kind, detail, **more)
    return JSONResponse(content, status_code=status, headers=headers, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Make every error of ``app`` a problem document."""

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return _invalid(request.url.path, [_field_problem(one) for one in error.errors()])

    @app.exception_handler(InputError)
    async def unusable(request: Request, error: InputError) -> JSONResponse:
        return _invalid(request.url.path, [_named(error.field, error.value, error.remedy)])

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> JSONResponse:
        return response(
            request.url.path,
            error.status,
            error.kind,
            error.detail,
            error.headers,
            field=error.field,
            remedy=error.remedy,
        )

    @app.exception_handler(ComponentError)
    async def away(request: Request, error: ComponentError) -> JSONResponse:
        # where the component is and how it failed is for the log: an answer names no host
        log.warning("%s", error)
        return response(
            request.url.path,
            503,
            "component-unavailable",
            f"The {error.component} does not answer.",
            {"Retry-After": "2"},
            field=error.component,
            remedy="Try again shortly; `keeper doctor` on the keeper's machine tells what is wrong.",
        )

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> JSONResponse:
        if error.status_code == 400:  # FastAPI, of bytes that are no text
            return _invalid(
                request.url.path, [FieldProblem(field="body", value="(bytes)", remedy="Send JSON in UTF-8.")]
            )
        phrase = http.HTTPStatus(error.status_code).phrase
        return response(
            request.url.path,
            error.status_code,
            phrase.lower().replace(" ", "-"),
            f"{request.method} {request.url.path}: {phrase.lower()}.",
            error.headers,
            remedy="/openapi.json lists every path and method.",
        )


def _invalid(path: str, errors: list[FieldProblem]) -> JSONResponse:
    first = errors[0]
    return response(
        path,
        422,
        "invalid-input",
        f"{first.field}: {first.value} cannot be used. {first.remedy}",
        field=first.field,
        value=first.value,
        remedy=first.remedy,
        errors=[error.model_dump() for error in errors],
    )


def _field_problem(error: Mapping[str, Any]) -> FieldProblem:
    found = None if error["type"] == "missing" else error.get("input")
    return _named(".".join(str(part) for part in error["loc"]), found, f"{error['msg']}.")


def _named(field: str, value: object, remedy: str) -> FieldProblem:
    shown = clean_text(repr(value))
    shown = shown if len(shown) <= _SHOWN else shown[: _SHOWN - 3] + "..."
    return FieldProblem(field=clean_text(field), value=shown, remedy=clean_text(remedy))
