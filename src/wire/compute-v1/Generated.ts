/** The contract with a compute driver in another process, generated from `proto/openshell/compute`. */
export * from "./gen/openshell/compute/v1/compute_driver_pb.js"
