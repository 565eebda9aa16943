public import CkptTensors

extension StateDict {
  /// Casts what `module.to(dtype)` casts: floating-point tensors that are selected. To integers
  /// also integers, but only those that the selection includes by name.
  ///
  /// - Returns: as ``converting(to:where:)``.
  /// - Throws: as ``converting(to:where:)``.
  public func casting(
    to type: DType, _ selection: KeySelection = KeySelection()
  ) throws -> (stateDict: StateDict, tallies: [(key: String, tally: ConversionTally)]) {
    let takesIntegers = !selection.include.isEmpty && !type.isFloat && !type.isComplex
    return try converting(to: type) { key, tensor in
      let own = tensor.dtype
      let isFloat = own.isFloat && !own.isComplex
      let isInteger = !own.isFloat && !own.isComplex && own != .bool
      return (isFloat || takesIntegers && isInteger) && selection.matches(key, .tensor(tensor))
    }
  }

  /// Casts tensors to another dtype, as `module.to(dtype)` does; elements are converted when they
  /// are read.
  ///
  /// Tensors that share a storage share one afterwards, if they are all converted.
  /// - Parameter isIncluded: which tensors are converted; those that have the type already stay.
  /// - Returns: the state dict, and for each storage that is converted the first key that looks
  ///   into it and what counts the numbers that it loses, each time they are read.
  /// - Throws: `StateDictError.cannotConvert` for a tensor without numbers;
  ///   `DerivedWeightError.noNumbers` for codes with scales beside them. Of other weights in parts
  ///   each part is cast, as `module.to(dtype)` does.
  public func converting(
    to type: DType, where isIncluded: (_ key: String, _ tensor: Tensor) -> Bool
  ) throws -> (stateDict: StateDict, tallies: [(key: String, tally: ConversionTally)]) {
    let gate = NumberGate(self)
    let cast = tensors.filter { $0.tensor.dtype != type && isIncluded($0.key, $0.tensor) }
    try gate.checkCodes(cast.map(\.key), operation: "cast")
    var result = self
    var tallies: [(key: String, tally: ConversionTally)] = []
    var converters: [ObjectIdentifier: TensorConverter] = [:]
    for (key, tensor) in cast {
      let storage = ObjectIdentifier(tensor.storage)
      if converters[storage] == nil {
        let tally = ConversionTally()
        converters[storage] = TensorConverter(to: type, countingInto: tally)
        tallies.append((key, tally))
      }
      do {
        if let converted = try converters[storage]?.convert(tensor) { result[key] = converted }
      } catch {
        throw StateDictError.cannotConvert(key: key, to: type, error.description)
      }
    }
    return (result, tallies)
  }
}
