"""A gateway on loopback that plays the four wire documents, with faults on demand.

It is for tests, benchmarks and the demo, imports nothing else of this package and no Django:

    python -m messaging.sandbox --port 8900

    with Sandbox() as sandbox:
        sandbox.control.fault("hang_after", gateway="whatsapp_http", times=1)

Base URLs: `whatsapp_http` and `intellisoftware` take the sandbox's URL, `intellixent` takes it
with `/api`. The built-in credentials are in `messaging.sandbox.accounts`.
"""

from .cli import run
from .client import SandboxClient, SandboxError
from .process import Sandbox

__all__ = ["Sandbox", "SandboxClient", "SandboxError", "run"]
