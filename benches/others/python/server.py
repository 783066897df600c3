"""A FastAPI application that verifies with PyJWT, with the key at hand, in one worker of uvicorn."""
import json
import socket
import sys
import threading

import jwt
import uvicorn
from fastapi import FastAPI, Request, Response

issuer, audience = sys.argv[1:]
# The benchmark hands over the keys in a line, reads the port and, once it has closed the input, the count.
key = jwt.PyJWK(json.loads(sys.stdin.readline())["keys"][0]).key
handled = 0
app = FastAPI()


@app.post("/webhooks/idnow")
async def deliver(request: Request) -> Response:
    global handled
    try:
        claims = jwt.decode(await request.body(), key, algorithms=["RS256"], issuer=issuer, audience=audience)
    except jwt.InvalidTokenError:
        return Response(status_code=401)
    if claims["data"]["eventName"] == "session.completed":
        handled += 1
    return Response(status_code=200)


listener = socket.socket()
listener.bind(("127.0.0.1", 0))
# Those who come before the server does are kept waiting, not turned away.
listener.listen(128)
print(listener.getsockname()[1], flush=True)
server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
thread.start()
sys.stdin.read()
print(handled, flush=True)
