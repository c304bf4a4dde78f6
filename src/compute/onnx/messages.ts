import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { InternalError } from "../../core/index.ts";
import {
  type Dtype,
  elementCount,
  type OnnxAttribute,
  type OnnxAttributes,
  type OnnxDomain,
  type Shape,
  showShape,
  type TensorType,
} from "../graph/index.ts";
import {
  type AttributeProtoSchema,
  ModelProtoSchema,
  type NodeProtoSchema,
  type TensorProtoSchema,
  type TypeProtoSchema,
  type ValueInfoProtoSchema,
} from "./onnx_pb.ts";

type NodeMessage = MessageInitShape<typeof NodeProtoSchema>;
type TensorMessage = MessageInitShape<typeof TensorProtoSchema>;
type ValueMessage = MessageInitShape<typeof ValueInfoProtoSchema>;
type TypeMessage = MessageInitShape<typeof TypeProtoSchema>;
type AttributeMessage = MessageInitShape<typeof AttributeProtoSchema>;

/** onnx.proto, TensorProto.DataType. */
const DATA_TYPE: Readonly<Record<Dtype, number>> = { float32: 1, uint8: 2, int32: 6, int64: 7, bool: 9 };

/** onnx.proto, AttributeProto.AttributeType. */
const ATTRIBUTE_TYPE = { float: 1, int: 2, string: 3, ints: 7 };

/** The IR version that came with opset 23 (ONNX 1.18). */
const IR_VERSION = 11n;
/** Opset 23 has all we use; onnxruntime 1.30 runs it without conversion. */
const OPSETS: Readonly<Record<OnnxDomain, bigint>> = { "": 23n, "com.microsoft": 1n };

const text = new TextEncoder();

/** The name, element type and fixed shape of a tensor that goes in or out. */
export function tensorValue(name: string, type: TensorType): ValueMessage {
  return { name, type: tensorType(type) };
}

/** A value that is a sequence of such tensors. */
export function sequenceValue(name: string, element: TensorType): ValueMessage {
  return { name, type: { value: { case: "sequenceType", value: { elemType: tensorType(element) } } } };
}

function tensorType({ shape, dtype }: TensorType): TypeMessage {
  const dim = shape.map((size) => ({ value: { case: "dimValue" as const, value: BigInt(size) } }));
  return { value: { case: "tensorType", value: { elemType: DATA_TYPE[dtype], shape: { dim } } } };
}

/** An initializer. */
export function tensorMessage(name: string, values: ArrayLike<number>, shape: Shape, dtype: Dtype): TensorMessage {
  if (values.length !== elementCount(shape))
    throw new InternalError(`a constant of shape ${showShape(shape)} was given ${values.length} values`, { where: name });
  return { name, dims: shape.map(BigInt), dataType: DATA_TYPE[dtype], rawData: rawData(values, dtype) };
}

/** Little-endian, as every platform that onnxruntime-node has a binary for. */
function rawData(values: ArrayLike<number>, dtype: Dtype): Uint8Array<ArrayBuffer> {
  switch (dtype) {
    case "float32":
      return new Uint8Array(Float32Array.from(values).buffer);
    case "int32":
      return new Uint8Array(Int32Array.from(values).buffer);
    case "int64":
      return new Uint8Array(BigInt64Array.from(Array.from(values, BigInt)).buffer);
    case "bool":
    case "uint8":
      return Uint8Array.from(values);
  }
}

/** An operator's application; the name is the caller's to keep unique. */
export function nodeMessage(
  name: string,
  opType: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: OnnxAttributes,
  domain: OnnxDomain,
): NodeMessage {
  return {
    name,
    opType,
    domain,
    input: [...inputs],
    output: [...outputs],
    attribute: Object.entries(attributes).map(([key, value]) => attributeMessage(key, value)),
  };
}

function attributeMessage(name: string, value: OnnxAttribute): AttributeMessage {
  if ("int" in value) return { name, type: ATTRIBUTE_TYPE.int, i: BigInt(value.int) };
  if ("float" in value) return { name, type: ATTRIBUTE_TYPE.float, f: value.float };
  if ("ints" in value) return { name, type: ATTRIBUTE_TYPE.ints, ints: value.ints.map(BigInt) };
  return { name, type: ATTRIBUTE_TYPE.string, s: text.encode(value.string) };
}

/** What a model file holds, before it is encoded. */
export interface ModelParts {
  readonly inputs: readonly ValueMessage[];
  readonly outputs: readonly ValueMessage[];
  readonly nodes: readonly NodeMessage[];
  readonly initializers: readonly TensorMessage[];
}

/** The bytes of a ModelProto. */
export function encodeModel(parts: ModelParts): Uint8Array<ArrayBuffer> {
  const model = create(ModelProtoSchema, {
    irVersion: IR_VERSION,
    producerName: "heirloom",
    opsetImport: Object.entries(OPSETS).map(([domain, version]) => ({ domain, version })),
    graph: {
      name: "graph",
      input: [...parts.inputs],
      output: [...parts.outputs],
      node: [...parts.nodes],
      initializer: [...parts.initializers],
    },
  });
  return toBinary(ModelProtoSchema, model);
}

export type { NodeMessage, TensorMessage, ValueMessage };
