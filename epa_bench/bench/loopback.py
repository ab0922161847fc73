"""A judge that takes no time: a process that answers every chat completion at once, with log-probs.

Its first line on standard output is its base URL. It ends when its standard input does, so also with its parent.
"""

import asyncio
import json
import os
import sys
import threading

from aiohttp import web

_TOP = (("m", -0.2), ("M", -1.8), ("Both", -6.0), ("The", -7.0), ("Based", -9.0))


def _answer() -> bytes:
    top = [{"token": token, "bytes": list(token.encode()), "logprob": logprob} for token, logprob in _TOP]
    choice = {
        "index": 0,
        "finish_reason": "length",
        "message": {"role": "assistant", "content": "m"},
        "logprobs": {"content": [{**top[0], "top_logprobs": top}]},
    }
    usage = {"prompt_tokens": 928, "completion_tokens": 1, "total_tokens": 929}
    head = {"id": "chatcmpl-0", "object": "chat.completion", "created": 0, "model": "loopback"}
    return json.dumps({**head, "choices": [choice], "usage": usage}).encode()


async def _serve() -> None:
    answer = _answer()

    async def complete(request: web.BaseRequest) -> web.Response:
        await request.read()
        return web.Response(body=answer, content_type="application/json")

    runner = web.ServerRunner(web.Server(complete))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    print(f"http://{host}:{port}/v1", flush=True)
    await asyncio.Event().wait()


def _end_with_standard_input() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=_end_with_standard_input, daemon=True).start()
    asyncio.run(_serve())
