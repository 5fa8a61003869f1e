// http-sink - a trivial HTTP server that reads each POST and answers 200.
//
// usage: node http-sink.mjs PORT [CERT KEY]     with CERT and KEY it speaks HTTPS
// Input:  POST requests on 127.0.0.1:PORT.  Output: {"ok":true} to each.
// Stop it with a signal.
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";

const [port, cert, key] = process.argv.slice(2);
const answer = async (req, res) => {
  for await (const chunk of req) void chunk;
  res.setHeader("content-type", "application/json");
  res.end('{"ok":true}');
};
const server = cert
  ? https.createServer({ cert: readFileSync(cert), key: readFileSync(key) }, answer)
  : http.createServer(answer);
server.listen(Number(port), "127.0.0.1");
