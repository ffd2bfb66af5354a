"""Swagger UI on `/docs` and ReDoc on `/redoc`, both drawn from `/openapi.json` without a request to another host.

Their files come from the package fastapi-standalone-docs. No script is inline, so the Content-Security-Policy allows none.
"""

from collections.abc import Awaitable, Callable, Iterator
from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from rest_bridge.http.guard import PAGE_POLICY

# URLs are relative, so that they hold behind a proxy that adds a prefix.
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="docs/files/fastapi/favicon.png">
{content}
</body>
</html>
"""
_SWAGGER = """<link rel="stylesheet" href="docs/files/swagger/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/files/swagger/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>"""
_REDOC = """</head>
<body style="margin: 0">
<redoc spec-url="openapi.json"></redoc>
<script src="docs/files/redoc/redoc.standalone.js"></script>"""
_REDOC_POLICY = PAGE_POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
"""ReDoc makes its styles while it draws."""

_START = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  showExtensions: true,
  showCommonExtensions: true,
  tryItOutEnabled: true,
});
"""


def docs_pages(title: str) -> Iterator[BaseRoute]:
    """The two pages about the API of this title, and their files."""
    policy = {"content-security-policy": _REDOC_POLICY}
    yield Route("/docs", fixed(HTMLResponse(_PAGE.format(title=escape(f"{title} - Swagger UI"), content=_SWAGGER))))
    yield Route("/redoc", fixed(HTMLResponse(_PAGE.format(title=escape(f"{title} - ReDoc"), content=_REDOC), headers=policy)))
    yield Route("/docs/start.js", fixed(Response(_START, media_type="text/javascript")))
    yield Mount("/docs/files", StaticFiles(packages=[("fastapi_standalone_docs", "static")]))


def fixed(response: Response) -> Callable[[Request], Awaitable[Response]]:
    """The handler of a page whose response is always the same."""

    async def page(_request: Request) -> Response:
        return response

    return page
