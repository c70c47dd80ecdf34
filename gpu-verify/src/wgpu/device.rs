//! Adapters, and a device with its two pipelines. Everything is loaded at run time: without a driver there are no adapters.

use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::sync::{Arc, OnceLock};

use ::wgpu::{Backends, DeviceType};

use super::Sizes;
use super::batch::Kernel;
use crate::machine::Adapter;

/// An adapter, not yet in use.
pub(super) struct Found {
    pub(super) description: Adapter,
    /// `None` where its limits are too low.
    pub(super) sizes: Option<Sizes>,
    adapter: ::wgpu::Adapter,
}

/// The adapters of this machine, the likely fastest first.
pub(super) fn find() -> Vec<Found> {
    let instance = ::wgpu::Instance::new(::wgpu::InstanceDescriptor {
        backends: Backends::VULKAN | Backends::METAL | Backends::DX12,
        // No validation layers, in no build: what they say is for whoever writes kernels.
        flags: ::wgpu::InstanceFlags::empty(),
        ..::wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let adapters = now(instance.enumerate_adapters(Backends::all())).unwrap_or_default();
    let mut found: Vec<Found> = adapters.into_iter().map(Found::new).collect();
    found.sort_by_key(|found| match found.description.kind {
        "discrete" => 0,
        "integrated" => 1,
        "software" => 3,
        _ => 2,
    });
    found
}

impl Found {
    fn new(adapter: ::wgpu::Adapter) -> Self {
        let (info, limits) = (adapter.get_info(), adapter.limits());
        let sizes = Sizes::of(limits.max_storage_buffer_binding_size.min(limits.max_buffer_size));
        let description = Adapter {
            name: info.name,
            driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
            backend: info.backend.to_str(),
            kind: match info.device_type {
                DeviceType::DiscreteGpu => "discrete",
                DeviceType::IntegratedGpu => "integrated",
                DeviceType::VirtualGpu => "virtual",
                DeviceType::Cpu => "software",
                DeviceType::Other => "other",
            },
            buffer_size_bytes_max: limits.max_buffer_size,
            binding_size_bytes_max: limits.max_storage_buffer_binding_size,
            workgroup_storage_size_bytes_max: limits.max_compute_workgroup_storage_size,
            window_size_bytes: sizes.map(|sizes| sizes.window),
        };
        Self { description, sizes, adapter }
    }
}

/// A device in use. Dropping it frees all it has.
pub(super) struct Device {
    pub(super) handle: ::wgpu::Device,
    pub(super) queue: ::wgpu::Queue,
    pub(super) layout: ::wgpu::BindGroupLayout,
    blake3: ::wgpu::ComputePipeline,
    verity: ::wgpu::ComputePipeline,
    /// The first thing that went wrong.
    fault: Arc<OnceLock<String>>,
}

impl Device {
    /// Takes an adapter into use, for buffers of at most `size_bytes_max`.
    ///
    /// The reason when it can't be, in the driver's words.
    pub(super) fn open(found: &Found, size_bytes_max: u64) -> Result<Self, String> {
        let request = found.adapter.request_device(&::wgpu::DeviceDescriptor {
            label: Some("chopmark"),
            required_limits: ::wgpu::Limits {
                max_buffer_size: size_bytes_max,
                max_storage_buffer_binding_size: size_bytes_max,
                ..::wgpu::Limits::downlevel_defaults()
            },
            memory_hints: ::wgpu::MemoryHints::MemoryUsage,
            ..::wgpu::DeviceDescriptor::default()
        });
        let (device, queue) = now(request)
            .ok_or("the driver does not answer")?
            .map_err(|fault| format!("the driver refuses: {fault}"))?;
        let fault = Arc::new(OnceLock::new());
        // Without these two, errors would end the process.
        let noticed = Arc::clone(&fault);
        device.on_uncaptured_error(Arc::new(move |error: ::wgpu::Error| {
            noticed.get_or_init(|| error.to_string());
        }));
        let noticed = Arc::clone(&fault);
        device.set_device_lost_callback(move |_, reason| {
            noticed.get_or_init(|| format!("the device was lost ({reason})"));
        });

        let entry = |binding, read_only| ::wgpu::BindGroupLayoutEntry {
            binding,
            visibility: ::wgpu::ShaderStages::COMPUTE,
            ty: ::wgpu::BindingType::Buffer {
                ty: ::wgpu::BufferBindingType::Storage { read_only },
                has_dynamic_offset: false,
                min_binding_size: None,
            },
            count: None,
        };
        let layout = device.create_bind_group_layout(&::wgpu::BindGroupLayoutDescriptor {
            label: None,
            entries: &[entry(0, true), entry(1, true), entry(2, false)],
        });
        let pipeline_layout = device.create_pipeline_layout(&::wgpu::PipelineLayoutDescriptor {
            label: None,
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let pipeline = |source: &str, entry_point| {
            let module = device.create_shader_module(::wgpu::ShaderModuleDescriptor {
                label: Some(entry_point),
                source: ::wgpu::ShaderSource::Wgsl(source.into()),
            });
            device.create_compute_pipeline(&::wgpu::ComputePipelineDescriptor {
                label: Some(entry_point),
                layout: Some(&pipeline_layout),
                module: &module,
                entry_point: Some(entry_point),
                compilation_options: ::wgpu::PipelineCompilationOptions {
                    // Written before it is read, always.
                    zero_initialize_workgroup_memory: false,
                    ..::wgpu::PipelineCompilationOptions::default()
                },
                cache: None,
            })
        };
        let blake3 = pipeline(include_str!("blake3.wgsl"), "subtrees");
        let verity = pipeline(include_str!("verity.wgsl"), "leaves");
        Ok(Self { handle: device, queue, layout, blake3, verity, fault })
    }

    pub(super) fn pipeline(&self, kernel: Kernel) -> &::wgpu::ComputePipeline {
        match kernel {
            Kernel::Blake3 => &self.blake3,
            Kernel::Verity => &self.verity,
        }
    }

    /// Notes what went wrong, unless something did before.
    pub(super) fn fail(&self, reason: String) {
        self.fault.get_or_init(|| reason);
    }

    /// The first thing that went wrong.
    pub(super) fn fault(&self) -> Option<&str> {
        self.fault.get().map(String::as_str)
    }
}

/// The result of a future that is ready at once, as all of wgpu's are outside browsers.
fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => Some(result),
        Poll::Pending => None,
    }
}
