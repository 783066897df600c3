// An express server that verifies with jose, as its documentation shows it, on a key set that it already has.
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import express from "express";
import { createLocalJWKSet, jwtVerify } from "jose";

const [issuer, audience] = process.argv.slice(2);
let handled = 0;

// The benchmark hands over the keys in a line, reads the port and, once it has closed the input, the count.
const input = createInterface({ input: process.stdin });
const { value: jwks } = await input[Symbol.asyncIterator]().next();
const keys = createLocalJWKSet(JSON.parse(jwks));

const app = express();
app.disable("x-powered-by");
app.post("/webhooks/idnow", express.text({ type: "application/jwt" }), async (request, response) => {
  try {
    const { payload } = await jwtVerify(request.body, keys, { issuer, audience, algorithms: ["RS256"] });
    if (payload.data.eventName === "session.completed") handled += 1;
    response.status(200).end();
  } catch {
    response.status(401).end();
  }
});

const server = createServer(app).listen(0, "127.0.0.1", () => console.log(server.address().port));
input.on("close", () => {
  console.log(handled);
  process.exit(0);
});
