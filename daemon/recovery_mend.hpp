// The steps by which recovery changes files. Each leaves the directory in a state from which recovery, begun
// anew, comes to the same end. Internal to recovery.
#pragma once

#include <cstdint>
#include <string>

#include "daemon/file_system.hpp"
#include "daemon/recovery_scan.hpp"

namespace busway::daemon {

/// Copies bytes of a segment to <base>-<position>.quarantine beside it, durably. Returns the file's path.
std::string quarantine(FileSystem& file_system, const std::string& directory, const File& file, Offset base,
                       std::uint64_t position, std::uint64_t bytes);

/// Makes a valid run the content of the segment file that its first offset names, durably: aside, synced,
/// renamed.
void write_run(FileSystem& file_system, const std::string& directory, const File& file,
               const ScannedRun& run);

/// Makes the index files hold what the scan kept of them and what its indexer found, durably if the segment
/// is `sealed`. Writes nothing if that is what they hold. True: they were changed. Takes the indexer's
/// entries. Without room on the disk the entries stay with the indexer, or, sealed, the segment is left
/// without indexes.
bool write_indexes(FileSystem& file_system, const std::string& directory, SegmentScan& scan, bool sealed);

/// Removes the three files of a segment; those that are missing are fine.
void remove_segment(FileSystem& file_system, const std::string& directory, Offset base);

/// Name of a file aside, and whether a name is one.
std::string name_aside(const std::string& path);
bool is_aside(const std::string& name);
/// The base offset in "<20 digits>.rewrite", -1: the name is none.
Offset rewrite_base(const std::string& name);

}  // namespace busway::daemon
