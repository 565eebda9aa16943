internal import CCkptLinux

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// What a file that replaces another one takes over from it: owner, group, permissions, extended
/// attributes, and the access control list.
enum FileAttributes {
  /// Gives an open, new file the attributes of the file at `path`, as far as the system allows it;
  /// nothing if there is none.
  ///
  /// If the group cannot be kept, its permissions are those of everybody, so that no other group
  /// can read more than before.
  static func copy(from path: String, to descriptor: Int32) {
    let source = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    var status = stat()
    guard source >= 0 ? fstat(source, &status) == 0 : stat(path, &status) == 0 else { return }
    defer { if source >= 0 { close(source) } }
    guard status.st_mode & S_IFMT == S_IFREG else { return }
    var mode = status.st_mode & 0o777
    var own = stat()
    if fstat(descriptor, &own) == 0 {
      let isOwner =
        own.st_uid == status.st_uid || fchown(descriptor, status.st_uid, uid_t.max) == 0
      let isGroup =
        own.st_gid == status.st_gid || fchown(descriptor, uid_t.max, status.st_gid) == 0
      if isOwner, isGroup {
        mode = status.st_mode & 0o7777
      } else if !isGroup {
        mode = mode & 0o707 | (mode & 0o070) & ((mode & 0o007) << 3)
      }
    }
    if source >= 0 { copyExtended(from: source, to: descriptor) }
    _ = fchmod(descriptor, mode)
  }

  private static func copyExtended(from source: Int32, to descriptor: Int32) {
    #if os(Linux)
      let size = flistxattr(source, nil, 0)
      guard size > 0, size <= 1 << 20 else { return }
      var names = [CChar](repeating: 0, count: size)
      let count = flistxattr(source, &names, size)
      guard count > 0 else { return }
      for name in names.prefix(count).split(separator: 0) {
        let name = Array(name) + [0]
        // Others belong to the system, such as the labels of SELinux.
        let text = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        guard text.hasPrefix("user.") || text == "system.posix_acl_access" else { continue }
        let length = fgetxattr(source, name, nil, 0)
        guard length >= 0, length <= 1 << 20 else { continue }
        var value = [UInt8](repeating: 0, count: max(length, 1))
        let got = fgetxattr(source, name, &value, length)
        if got >= 0 { _ = fsetxattr(descriptor, name, value, got, 0) }
      }
    #elseif canImport(Darwin)
      _ = fcopyfile(source, descriptor, nil, copyfile_flags_t(COPYFILE_ACL | COPYFILE_XATTR))
    #endif
  }
}
