#include "bus/memory/region.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>

namespace busway::memory {
namespace {

TEST(Region, CannotBeShrunkGrownOrUnsealed) {
  const Region region = Region::create("test", 8192);
  EXPECT_LT(::ftruncate(region.fd(), 4096), 0);
  EXPECT_LT(::ftruncate(region.fd(), 16384), 0);
  EXPECT_LT(::fcntl(region.fd(), F_ADD_SEALS, F_SEAL_WRITE), 0);
}

TEST(Region, HasEveryPageAllocatedAndNoRightsForOthers) {
  const Region region = Region::create("test", 1 << 20);
  struct stat status {};
  ASSERT_EQ(::fstat(region.fd(), &status), 0);
  EXPECT_EQ(status.st_blocks * 512, 1 << 20);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
}

TEST(Region, AReadOnlyDescriptorCannotBeMappedForWriting) {
  const Region region = Region::create("test", 4096);
  const Fd reader = region.open_read_only();
  EXPECT_EQ(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, reader.get(), 0), MAP_FAILED);
}

TEST(Region, RefusesMemoryThatAnotherProcessCouldShrink) {
  Fd unsealed(::memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(::ftruncate(unsealed.get(), 4096), 0);
  EXPECT_THROW(Region::map(std::move(unsealed), 64, Access::read_only), Error);
}

TEST(Region, RefusesMemoryOfAnotherKind) {
  const Region region = Region::create("test", 4096);
  *region.as<Identity>() = Identity{.magic = kMagic,
                                    .layout_version = kLayoutVersion,
                                    .kind = Kind::lane,
                                    .owner = {},
                                    .partition = 0,
                                    .generation = 0,
                                    .bytes = 4096,
                                    .item_bytes = 0,
                                    .item_count = 0};
  EXPECT_THROW(Region::map_known(region.open_read_only(), Kind::ring, Access::read_only), Error);
  EXPECT_NO_THROW(Region::map_known(region.open_read_only(), Kind::lane, Access::read_only));
}

}  // namespace
}  // namespace busway::memory
