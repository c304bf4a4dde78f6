// A process of its own for the damaged folders, so that its memory is theirs: prints the report as JSON.
import { runMutations } from "./mutations.ts";

const [cases = "1000", seed = "1"] = process.argv.slice(2);
process.stdout.write(`${JSON.stringify(await runMutations(Number(cases), Number(seed)))}\n`);
