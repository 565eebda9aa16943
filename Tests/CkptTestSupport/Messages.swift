/// What the error says that a call throws; nil if it throws none, or one of another type.
public func message<Failure: Error, Value>(
  of type: Failure.Type, thrownBy body: () throws -> Value
) -> String? {
  do {
    _ = try body()
    return nil
  } catch {
    return (error as? Failure).map { "\($0)" }
  }
}
