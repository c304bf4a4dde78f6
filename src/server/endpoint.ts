import type { Context } from "hono";
import type { Admitted } from "./admission.ts";
import { answerParts, type OnTokens, wholeAnswer } from "./answer.ts";
import { ApiError, asApiError } from "./api-error.ts";
import { Completions } from "./completions.ts";
import type { Job } from "./job.ts";
import { readJsonBody } from "./read-body.ts";
import type { LogEntry } from "./request-log.ts";
import { type AppEnv, findModel, noteFault, type Service } from "./service.ts";

const utf8 = new TextEncoder();

function serverSent(data: object | string): Uint8Array {
  return utf8.encode(`data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`);
}

const HUNG_UP = "client_hung_up";

function hungUp(cause: unknown): ApiError {
  return new ApiError(499, HUNG_UP, "the client hung up", { cause });
}

/** A request that was let in, on its way to an answer. */
interface Running {
  readonly c: Context<AppEnv>;
  readonly service: Service;
  readonly job: Job;
  readonly admitted: Admitted;
  readonly completions: Completions;
  readonly onTokens: OnTokens;
}

/** The events of a streamed answer. An error after its beginning is its last event, as in OpenAI's API. */
async function* eventsOf({ service, job, completions, onTokens }: Running, entry: LogEntry): AsyncGenerator<Uint8Array, void> {
  try {
    for await (const part of answerParts(job, completions, onTokens)) yield serverSent(part);
    service.fault = null;
  } catch (thrown) {
    const error = asApiError(thrown, job.format.promptParam);
    entry.error = error.code;
    noteFault(service, error);
    yield serverSent(error.body);
    return;
  }
  yield serverSent("[DONE]");
}

/**
 * A stream that asks for the next event when the client has taken the last one. The connection of a client that takes nothing
 * for too long is closed, so that nobody holds a place by not reading.
 */
function streamOf(running: Running, finish: () => void): ReadableStream<Uint8Array> {
  const { c, service, admitted } = running;
  const entry = c.get("entry");
  const events = eventsOf(running, entry);
  let stall: NodeJS.Timeout | undefined;
  let isOver = false;
  const end = (): void => {
    clearTimeout(stall);
    if (isOver) return;
    isOver = true;
    if (c.req.raw.signal.aborted) entry.error = HUNG_UP;
    admitted.leave();
    finish();
  };
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      clearTimeout(stall);
      const { done, value } = await events.next();
      if (done === true) {
        end();
        controller.close();
      } else if (!isOver) {
        controller.enqueue(value);
        stall = setTimeout(() => c.env.outgoing.destroy(), service.settings.stallMs);
      }
    },
    async cancel() {
      admitted.abort(); // an event that is being waited for comes no more
      await events.return();
      entry.error = HUNG_UP;
      end();
    },
  });
}

function streamedResponse(running: Running): Response {
  const { c } = running;
  c.set("endsLater", true);
  c.header("content-type", "text/event-stream; charset=utf-8");
  c.header("cache-control", "no-cache");
  c.header("x-accel-buffering", "no"); // nginx would hold parts back
  return c.body(streamOf(running, c.get("finish")));
}

/** Answers a request of one of the two endpoints. */
export async function answer(c: Context<AppEnv>, service: Service, read: (body: unknown) => Job): Promise<Response> {
  const { engine, maxBodyBytes } = service.settings;
  const client = c.req.raw.signal;
  const entry = c.get("entry");
  const job = read(await readJsonBody(c.req.raw, maxBodyBytes));
  const model = findModel(engine.models, job.model);
  entry.model = model.id;
  const admitted = service.admission.enter(job.requests.length, client);
  try {
    const completions = await Completions.begin(engine, job, model.contextLength, admitted);
    entry.promptTokens = completions.promptTokens;
    const onTokens = (tokens: number): void => {
      entry.completionTokens = tokens;
    };
    if (job.stream) return streamedResponse({ c, service, job, admitted, completions, onTokens });
    const body = await wholeAnswer(job, completions, onTokens);
    service.fault = null;
    admitted.leave();
    return c.json(body);
  } catch (error) {
    admitted.leave();
    throw client.aborted ? hungUp(error) : asApiError(error, job.format.promptParam);
  }
}
