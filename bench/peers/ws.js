// Node's `ws`: the loop over all clients of its README, and an echo. usage: node ws.js PORT
"use strict";

const { WebSocketServer, WebSocket } = require("ws");

const port = Number(process.argv[2]);
const room = new Set();
const server = new WebSocketServer({ host: "127.0.0.1", port, backlog: 4096, perMessageDeflate: false });

function broadcast(data) {
  for (const client of room) {
    if (client.readyState === WebSocket.OPEN) client.send(data, { binary: false });
  }
}

server.on("connection", (socket, request) => {
  if (request.url === "/echo") {
    socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
    return;
  }
  room.add(socket);
  socket.on("close", () => room.delete(socket));
  socket.on("message", (data) => {
    if (data.length === 1) socket.send("!");
    else broadcast(data);
  });
});
