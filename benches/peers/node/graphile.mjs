// Events as jobs of graphile-worker, with the batches that its page on performance advises.
//
//     node graphile.mjs URL fill ROWS
//     node graphile.mjs URL work GRAPH

import { readFileSync } from "node:fs";
import { makeWorkerUtils, run } from "graphile-worker";
import { token } from "./token.mjs";

const IN_FLIGHT = 64;
const ADDED_TOGETHER = 1000;
const [connectionString, what, where] = process.argv.slice(2);

async function fill() {
  const jobs = readFileSync(where, "utf8").trim().split("\n").map((line) => ({ identifier: "send", payload: JSON.parse(line) }));
  const utils = await makeWorkerUtils({ connectionString });
  await utils.migrate();
  for (let first = 0; first < jobs.length; first += ADDED_TOGETHER) await utils.addJobs(jobs.slice(first, first + ADDED_TOGETHER));
  await utils.release();
}

async function send({ mailbox, event }) {
  const answer = await fetch(`${where}/v1.0/users/${mailbox}/events`, {
    method: "POST",
    headers: { authorization: `Bearer ${await token(where)}`, "content-type": "application/json" },
    body: JSON.stringify(event),
  });
  if (!answer.ok) throw new Error(`refused: ${answer.status}`);
  await answer.json();
}

async function work() {
  const worker = { connectionString, concurrentJobs: IN_FLIGHT, localQueue: { size: 2 * IN_FLIGHT }, completeJobBatchDelay: 0 };
  const runner = await run({ preset: { worker }, taskList: { send }, logger: undefined });
  await runner.promise;
}

await (what === "fill" ? fill() : work());
