/** Names of the files beside the weights in a Trainer's checkpoint. Without the first three nothing can be gone on with. */
export const TRAINER_FILES = {
  state: "trainer_state.json",
  optimizer: "optimizer.pt",
  scheduler: "scheduler.pt",
  arguments: "training_args.bin",
} as const;
