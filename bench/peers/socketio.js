// Socket.IO as its documentation has it: rooms, an event to a room, an event echoed. usage: node socketio.js PORT
"use strict";

const http = require("node:http");
const { Server } = require("socket.io");

const port = Number(process.argv[2]);
const server = http.createServer();
const io = new Server(server, { transports: ["websocket"], serveClient: false });

io.on("connection", (socket) => {
  socket.on("join", (room, acknowledge) => {
    socket.join(room);
    acknowledge();
  });
  socket.on("msg", (room, text) => io.to(room).emit("msg", text));
  socket.on("echo", (text) => socket.emit("echo", text));
});

server.listen({ host: "127.0.0.1", port, backlog: 4096 });
