// npm's `ws`, on Node.js. What it understands and tells is described in ../side.py.
"use strict";

const fs = require("node:fs");
const http = require("node:http");
const https = require("node:https");
const readline = require("node:readline");
const { WebSocket, WebSocketServer } = require("ws");

let connection;

function tell(event, fields) {
  const line = JSON.stringify({ event, ...fields }, (name, value) =>
    // A Buffer has become an object by itself when this is called.
    value && value.type === "Buffer"
      ? { base64: Buffer.from(value.data).toString("base64") }
      : value,
  );
  process.stdout.write(line + "\n");
}

function fail(error) {
  tell("error", { message: String(error) });
}

function talk(made) {
  connection = made;
  tell("open", {
    subprotocol: made.protocol || null,
    compressed: made.extensions.includes("permessage-deflate"),
  });
}

function follow(made) {
  made.on("message", (data, isBinary) => tell(isBinary ? "binary" : "text", { data }));
  made.on("pong", (data) => tell("pong", { data }));
  made.on("close", (code, reason) => tell("closed", { code, reason: String(reason) }));
  made.on("error", fail);
}

const commands = {
  listen({ certificate, compressed, subprotocols }) {
    const pem = certificate && fs.readFileSync(certificate);
    const server = pem
      ? https.createServer({ cert: pem, key: pem })
      : http.createServer();
    const handleProtocols = (offered) =>
      subprotocols.find((each) => offered.has(each)) || false;
    new WebSocketServer({
      server,
      perMessageDeflate: compressed,
      handleProtocols,
    }).on("connection", (made) => {
      follow(made);
      talk(made);
    });
    server.listen(0, "127.0.0.1", () =>
      tell("listening", { port: server.address().port }),
    );
  },
  connect({ url, trusted, compressed, subprotocols }) {
    const made = new WebSocket(url, subprotocols, {
      perMessageDeflate: compressed,
      ca: trusted ? fs.readFileSync(trusted) : undefined,
    });
    follow(made);
    made.on("open", () => talk(made));
  },
  text({ data }) {
    connection.send(data, { binary: false });
  },
  binary({ data }) {
    connection.send(data, { binary: true });
  },
  fragments({ text, parts }) {
    parts.forEach((part, index) =>
      connection.send(part, { binary: !text, fin: index === parts.length - 1 }),
    );
  },
  ping({ data }) {
    connection.ping(data);
  },
  close({ code, reason }) {
    connection.close(code, reason);
  },
};

readline
  .createInterface({ input: process.stdin })
  .on("line", (line) => {
    const command = JSON.parse(line, (name, value) =>
      value && typeof value.base64 === "string"
        ? Buffer.from(value.base64, "base64")
        : value,
    );
    try {
      commands[command.do](command);
    } catch (error) {
      fail(error);
    }
  })
  .on("close", () => process.exit());

tell("ready", {
  version: require("ws/package.json").version,
  abilities: ["compression", "fragments", "reason", "seesClose", "subprotocols"],
});
