// The page that says there is no launch: turns into the board as soon as there is one.

import { BoardSocket } from "./socket.js";

const board = document.getElementById("board");
const socket = new BoardSocket({
  path: board.dataset.live,
  query: () => ({}),
  onFrame: (frame) => {
    socket.ack(frame.n);
    if (frame.type === "board") window.location.reload();
  },
  onState: () => {},
});
