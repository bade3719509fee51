"""Files for gateways that fetch them: by expiring signed link, and by nothing else."""

from __future__ import annotations

from django.http import FileResponse, Http404, HttpRequest
from django.views.decorators.http import require_safe

from .. import media


@require_safe
def public_media(request: HttpRequest, token: str) -> FileResponse:
    """One file for whoever holds its link. Never shown inline, never indexed, never cached."""
    row = media.read_token(token)
    if row is None:
        raise Http404
    try:
        file = row.file.open("rb")
    except (OSError, ValueError):
        raise Http404 from None
    response = FileResponse(
        file,
        as_attachment=True,
        filename=row.filename or "file",
        content_type=row.content_type or "application/octet-stream",
    )
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response["Cache-Control"] = "private, no-store"
    response["X-Robots-Tag"] = "noindex"
    return response
