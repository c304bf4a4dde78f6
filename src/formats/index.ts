// formats: bytes and text on disk (safetensors, shard indexes, JSON, JSON Lines, PEFT's
// adapter_config.json, bitsandbytes' 4-bit layout, GGUF, torch.save without Python). Takes byte sources, yields chunks.
// Must not know Node, the values of numbers (codecs), models or training.
export {
  type Bnb4bitNested,
  type Bnb4bitTensor,
  bnb4bitNames,
  bnb4bitParts,
  isBnb4bit,
  NF4_CODEBOOK,
  readBnb4bit,
  restoreAbsmax,
} from "./bnb4bit.ts";
export { type Bnb4bitToWrite, bnb4bitTensors } from "./bnb4bit-encode.ts";
export { dtypeBits, elementCount, isSafetensorsDtype, SAFETENSORS_DTYPES, type SafetensorsDtype, tensorBytes } from "./dtypes.ts";
export * from "./gguf/index.ts";
export { decodeUtf8, type ParseJsonOptions, parseJson, readJson } from "./json.ts";
export { type JsonlRow, readJsonl } from "./jsonl.ts";
export { refuseLfsPointer } from "./lfs-pointer.ts";
export {
  type LoraPeftConfig,
  loraPeftConfig,
  type OtherPeftConfig,
  type PeftConfig,
  parsePeftConfig,
  serializePeftConfig,
} from "./peft-config.ts";
export { isPeftSettingOn } from "./peft-fields.ts";
export { isLaterThanKnown, NEWEST_PEFT_RELEASE, type PeftRelease, peftRelease } from "./peft-releases.ts";
export type { ScannedObject } from "./pickle-scan.ts";
export { dictOf, entryOfDict, listOf, type PickleValue } from "./pickle-values.ts";
export { describeValue, printable } from "./printable.ts";
export { PythonFloat, pyFloat } from "./python-float.ts";
export { pythonFloat, pythonJson } from "./python-json.ts";
export { encodeSafetensors, planSafetensors, type SafetensorsPlan, type TensorPlan, type TensorToWrite } from "./safetensors-encode.ts";
export { readSafetensorsHeader, type SafetensorsHeader, type TensorEntry } from "./safetensors-header.ts";
export { openShards, openTorchShards } from "./shards.ts";
export { openSafetensors, requireTensor, type StoredTensor, type TensorFile } from "./tensor-file.ts";
export { openTorchTensors, readTorchFile, scanTorchObject, type TorchFile } from "./torch-file.ts";
export { isTorchTensor, type TorchTensor } from "./torch-tensor.ts";
export { encodeTorchFile, type TorchFileOptions, torchFileBytes } from "./torch-write.ts";
export type { Crc32 } from "./torch-write-crc.ts";
export {
  type NumpyCode,
  type NumpyToSave,
  numpyArray,
  numpyScalar,
  type OrderedDictToSave,
  orderedDict,
  pyTuple,
  type StorageToSave,
  type TensorToSave,
  type TorchData,
  type TorchDtype,
  type TupleToSave,
  torchStorage,
  torchTensor,
  torchView,
  type ValueToSave,
  type ViewOptions,
} from "./torch-write-values.ts";
export * from "./trainer-files/index.ts";
