"""scim2-flask over the in-memory storage of scim2-server. PAGING: index, cursor (RFC 9865: no startIndex at all), both."""

import os

from flask import Flask, abort, request
from scim2_flask import ScimServer
from scim2_models import (
    Bulk,
    ChangePassword,
    ETag,
    Filter,
    Pagination,
    Patch,
    ScimProvider,
    ServiceProviderConfig,
    Sort,
    User,
)
from scim2_server.memory import InMemoryStorage

PAGING = os.environ.get("PAGING", "index")
# Small, so that a company is several pages.
PAGE = 25
pagination = Pagination(
    cursor=PAGING != "index",
    index=PAGING != "cursor",
    default_pagination_method="index" if PAGING == "index" else "cursor",
    default_page_size=PAGE,
    max_page_size=PAGE,
)
config = ServiceProviderConfig(
    patch=Patch(supported=True),
    filter=Filter(supported=True, max_results=PAGE),
    sort=Sort(supported=True),
    etag=ETag(supported=True),
    bulk=Bulk(supported=False, max_operations=0, max_payload_size=0),
    change_password=ChangePassword(supported=False),
    authentication_schemes=[],
    pagination=pagination,
)
app = Flask(__name__)
# It seals the cursors.
app.secret_key = "loopback-only"
ScimServer(InMemoryStorage(), ScimProvider(models=[User], config=config), app=app)


@app.before_request
def authorized():
    if request.headers.get("Authorization") != f"Bearer {os.environ['TOKEN']}":
        abort(401)
